"""The regularisation that is chosen is the one under which new images are likeliest."""

from functools import reduce

import numpy as np
import pytest

from spocdb.features.projection import Moments, merge
from spocdb.features.shrinkage import CHOICES, N_FOLDS, chosen
from spocdb.records import Float32Array

VARIANCES = np.geomspace(1, 0.01, 24)


def images(n: int, seed: int = 0) -> Float32Array:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(24, 24)))[0]
    rows = (rng.normal(size=(n, 24)) * np.sqrt(VARIANCES)) @ turn + 3
    return np.asarray(rows, np.float32)


def folds(rows: Float32Array) -> list[Moments]:
    return [Moments.of(rows[fold::N_FOLDS]) for fold in range(N_FOLDS)]


def by_hand(rows: Float32Array, choice: float, *, centre: bool) -> float:
    """Sum the log density of each fold's images, one by one, under the other folds' Gaussian."""
    total = 0.0
    for fold in range(N_FOLDS):
        is_held_out = np.arange(len(rows)) % N_FOLDS == fold
        fitted = rows[~is_held_out].astype(np.float64)
        mean = fitted.mean(axis=0) if centre else np.zeros(24)
        covariance = (fitted - mean).T @ (fitted - mean) / (len(fitted) - 1)
        covariance += choice * np.trace(covariance) / 24 * np.eye(24)
        inverse, (_, logdet) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
        for row in rows[is_held_out]:
            total -= (row - mean) @ inverse @ (row - mean) + logdet
    return total


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("n", [30, 300])
def test_it_is_the_likeliest_of_all_choices(n: int, centre: bool) -> None:
    rows = images(n)
    found = chosen(folds(rows), centre=centre)
    likeliest = max(CHOICES[::2], key=lambda choice: by_hand(rows, choice, centre=centre))
    # Every second choice was tried by hand: the best one is the same or a neighbour of it.
    assert abs(np.log(found / likeliest)) <= np.log(10) / 10 * 1.01


def test_few_images_are_shrunk_more_than_many() -> None:
    few, more, many = (chosen(folds(images(n))) for n in (20, 100, 5000))
    assert few > 3 * more > 9 * many > 0


def test_it_whitens_new_images_better_than_none() -> None:
    """Of images that were not fitted, each whitened dimension should have the variance one."""
    rows, new = images(30), images(4000, seed=1)

    def spread(choice: float) -> float:
        variances, axes = np.linalg.eigh(np.cov(rows.T))
        expected = variances + choice * variances.mean()
        return float(np.log(((new - rows.mean(axis=0)) @ axes).var(axis=0) / expected).std())

    assert spread(chosen(folds(rows))) < 0.5 * spread(0)


def test_the_same_images_in_the_same_parts_give_the_same_number() -> None:
    rows = images(100)
    parts = [reduce(merge, map(Moments.of, np.array_split(rows[f::N_FOLDS], 3))) for f in range(5)]
    assert chosen(parts) == chosen(folds(rows))


def test_fewer_than_two_parts_choose_nothing() -> None:
    assert chosen([]) == chosen(folds(images(1))) == 0.0
