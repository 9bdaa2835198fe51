"""Discriminative whitening, against a plain reference and where it must beat a PCA."""

from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.discriminative import Within, extended, fit
from spocdb.features.projection import Moments, project
from spocdb.features.projection import fit as fit_pca
from spocdb.records import Float32Array, Projection
from spocdb.soundness import fault
from spocdb.training.validation import mean_average_precision

Classes = NDArray[np.int64]


def made(
    sizes: list[int], channels: int = 12, seed: int = 0, noise: float = 0.3
) -> tuple[Float32Array, Classes]:
    """Return unit rows of classes of these sizes, with noise that differs between channels."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), channels)) * np.linspace(0.3, 1, channels)
    rows = centres[classes] + noise * rng.normal(size=(len(classes), channels)) * np.linspace(
        1, 0.2, channels
    )
    unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit, classes


def within(rows: Float32Array, classes: Classes, cuts: list[int] | None = None) -> Within:
    """Return the sums of rows that come in chunks."""
    parts = zip(np.split(rows, cuts or []), np.split(classes, cuts or []), strict=True)
    return reduce(lambda sums, part: extended(sums, *part), parts, Within.nothing(rows.shape[1]))


def learned(rows: Float32Array, classes: Classes, dim: int, amount: float = 0.0) -> Projection:
    """Return the discriminative whitening of rows."""
    return fit(Moments.of(rows), within(rows, classes).moments, dim, amount, {"labels": "kind"})


def by_the_paper(
    rows: Float32Array, classes: Classes, dim: int, others: Float32Array
) -> NDArray[np.float64]:
    """Return the embeddings of `others` as the paper writes it, pair by pair."""
    f = rows.astype(np.float64)
    channels = f.shape[1]
    c_s, c_d = np.zeros((channels, channels)), np.zeros((channels, channels))
    for i in range(len(f)):
        for j in range(i):
            difference = np.outer(f[i] - f[j], f[i] - f[j])
            if classes[i] == classes[j]:
                c_s += difference
            else:
                c_d += difference
    values, vectors = np.linalg.eigh(c_s)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    values, vectors = np.linalg.eigh(root @ c_d @ root)
    p = root @ vectors[:, ::-1][:, :dim]
    embedded = (others - f.mean(axis=0)) @ p
    found: NDArray[np.float64] = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("dim", [5, 12])
def test_it_is_the_papers_for_classes_of_one_size(dim: int) -> None:
    rows, classes = made([3] * 40)
    others, _ = made([1] * 30, seed=1)
    expected = by_the_paper(rows, classes, dim, others)
    found = project(others, learned(rows, classes, dim))
    # The axes' signs are free: similarities are what counts.
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_pairs_are_whitened_and_the_rest_is_uncorrelated() -> None:
    rows, classes = made([2, 5, 3, 2, 9, 2] * 8)
    projection = learned(rows, classes, 12)
    p = projection.components.astype(np.float64) * projection.scale[:, None]
    c_s = sum(
        (rows[classes == c] - rows[classes == c].mean(axis=0)).astype(np.float64).T
        @ (rows[classes == c] - rows[classes == c].mean(axis=0)).astype(np.float64)
        for c in range(48)
    ) / (len(rows) - 48)
    np.testing.assert_allclose(p @ c_s @ p.T, np.eye(12), atol=1e-4)
    total = p @ np.cov(rows.astype(np.float64).T) @ p.T * (len(rows) - 1)
    np.testing.assert_allclose(total, np.diag(projection.singular_values**2), rtol=1e-4, atol=0.05)
    assert (np.diff(projection.explained) <= 0).all()
    assert projection.explained.sum() == pytest.approx(1)
    assert fault(projection, 12) is None
    assert projection.kind == "discriminative"
    assert projection.settings == {"dim": 12, "regularisation": 0.0, "labels": "kind"}


@pytest.mark.parametrize("cuts", [[1], [3, 4, 5], [60, 60, 61, 90], [*range(1, 120)]])
def test_sums_do_not_depend_on_chunks(cuts: list[int]) -> None:
    rows, classes = made([2, 50, 1, 30, 37])
    whole, cut = within(rows, classes), within(rows, classes, cuts)
    assert (cut.n_images, cut.n_classes, cut.n_pairs) == (120, 5, 115)
    assert (whole.n_images, whole.n_classes) == (120, 5)
    np.testing.assert_allclose(cut.scatter, whole.scatter, rtol=1e-10, atol=1e-12)
    centred = np.concatenate([rows[classes == c] - rows[classes == c].mean(0) for c in range(5)])
    np.testing.assert_allclose(whole.scatter, centred.T @ centred, rtol=1e-4, atol=1e-4)


def test_it_finds_what_a_pca_drowns_in_noise() -> None:
    """The noise of a class has far more variance than what distinguishes classes."""

    def drowned(seed: int) -> tuple[Float32Array, Classes]:
        rng = np.random.default_rng(seed)
        classes = np.repeat(np.arange(60), 4)
        rows = np.zeros((240, 16))
        rows[:, :8] = 0.3 * rng.normal(size=(60, 8))[classes]
        rows[:, :8] += 0.03 * rng.normal(size=(240, 8))
        rows[:, 8:] = rng.normal(size=(240, 8))
        unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit, classes

    rows, classes = drowned(0)
    others, labels = drowned(1)
    names = [str(label) for label in labels]

    def quality(projection: Projection) -> float:
        return mean_average_precision(project(others, projection), names)

    plain = quality(fit_pca(Moments.of(rows), 8, whiten=False))
    whitened = quality(fit_pca(Moments.of(rows), 16))
    assert max(plain, whitened) < 0.7
    assert quality(learned(rows, classes, 8)) > 0.95


def test_regularisation_is_added_to_each_variance_of_the_pairs() -> None:
    rows, classes = made([3] * 40)
    pairs, moments = within(rows, classes).moments, Moments.of(rows)
    ridge = 0.5 * np.trace(pairs.scatter) / 12 * np.eye(12)
    shifted = Moments(pairs.count, pairs.mean, pairs.scatter + ridge)
    expected, found = (
        fit(moments, pairs, 6, 0.5, {}),
        fit(moments, shifted, 6, 0.0, {}),
    )
    np.testing.assert_allclose(found.components, expected.components, atol=1e-6)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-6)


def test_too_few_pairs_need_regularisation() -> None:
    rows, classes = made([2] * 8 + [1] * 20)
    with pytest.raises(NotEnoughSamples, match=r"^8 pairs of .* differ in only 8 of 12"):
        learned(rows, classes, 4)
    assert learned(rows, classes, 4, 0.1).dim == 4


def test_options_out_of_range_are_refused() -> None:
    rows, classes = made([3] * 40)
    with pytest.raises(ConfigError, match=r"^dim must be 1 to 12"):
        learned(rows, classes, 13)
    with pytest.raises(ConfigError, match=r"^regularisation must be zero or more"):
        learned(rows, classes, 4, -1.0)
    with pytest.raises(NotEnoughSamples, match="4 images are too few for 4 dimensions"):
        learned(rows[:4], classes[:4], 4, 0.1)
