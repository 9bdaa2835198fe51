"""Which embeddings are near each other, by products: nothing is missed, and little is added."""

import numpy as np
import pytest
import torch

from spocdb.features import products, rounding
from spocdb.features.products import Products
from spocdb.records import Float32Array, Float64Array

TYPES = [torch.float32, torch.int8]
DISTANCE = 0.2
Pairs = set[frozenset[int]]


@pytest.fixture
def rows() -> Float32Array:
    """Return embeddings (700, 64) in groups of seven, the first two the same."""
    rng = np.random.default_rng(0)
    made = np.repeat(rng.normal(size=(100, 64)), 7, axis=0) + 0.4 * rng.normal(size=(700, 64))
    made[1] = made[0]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    result: Float32Array = made.astype(np.float32)
    return result


@pytest.fixture(params=TYPES, ids=str)
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Return a type that the processor is said to multiply fastest."""
    result: torch.dtype = request.param
    monkeypatch.setattr(rounding, "fastest", lambda dim: result)
    # Several tiles, the last one smaller, and several parts of those asked for.
    monkeypatch.setattr(products, "TILE", 300)
    monkeypatch.setattr(products, "ASKED", 50)
    return result


def filled(rows: Float32Array) -> Products:
    return Products(rows[begin : begin + 300] for begin in range(0, len(rows), 300))


def near(rows: Float32Array, distance: float = DISTANCE) -> Pairs:
    exact = 1 - rows.astype(np.float64) @ rows.T.astype(np.float64)
    return {frozenset((a, b)) for a, b in np.argwhere(exact <= distance).tolist() if a != b}


def pairs_of(*found: products.Found) -> list[frozenset[int]]:
    return [
        frozenset(pair)
        for part in found
        for pair in zip(part.rows.tolist(), part.columns.tolist(), strict=True)
    ]


@pytest.mark.parametrize("size", [1, 70, 700])
def test_each_pair_is_found_once_and_none_that_is_farther_than_the_margin(
    rows: Float32Array, dtype: torch.dtype, size: int
) -> None:
    made, order = filled(rows), np.random.default_rng(1).permutation(700)
    found = [made.near(order[at : at + size], DISTANCE, 700) for at in range(0, 700, size)]
    pairs = pairs_of(*found)
    assert len({*pairs}) == len(pairs) and near(rows) <= {*pairs}
    errors = rounding.rounded(rows, dtype).errors.max()
    assert {*pairs} <= near(rows, DISTANCE + 2 * float(rounding.margin(errors, errors, 64)))
    assert len(near(rows)) > 400 and not any(len(part.crowded) for part in found)
    # The rows that are done are left out of the tiles by and by.
    assert len(made._rows) < 700 and not len(made.near(order, DISTANCE, 700).rows)


def test_few_rows_are_compared_with_all(rows: Float32Array, dtype: torch.dtype) -> None:
    asked = np.arange(0, 700, 30)
    pairs = pairs_of(filled(rows).near(asked, DISTANCE, 700))
    assert {pair for pair in near(rows) if not pair.isdisjoint(asked.tolist())} <= {*pairs}


def test_pairs_at_the_very_distance_are_found(rows: Float32Array, dtype: torch.dtype) -> None:
    """As rounding to the type alone would miss some of them, each is asked for by its distance."""
    exact = 1 - rows.astype(np.float64) @ rows.T.astype(np.float64)
    pairs = [(a, b) for a, b in np.argwhere((exact > 0.15) & (exact < 0.25)) if a < b][::20]
    assert len(pairs) > 30
    for one, other in pairs:
        found = filled(rows).near(np.array([one]), exact[one, other] + 1e-6, 700)
        assert other in found.columns


@pytest.mark.parametrize("size", [1, 40, 1200])
def test_crowded_rows_are_told_whichever_side_comes_first(
    rows: Float32Array, dtype: torch.dtype, size: int
) -> None:
    """A row with many neighbours, and these with few: the pairs of both are theirs."""
    rng = np.random.default_rng(2)
    hub = rows[:1] / np.linalg.norm(rows[:1])
    rays = 0.9 * hub + np.sqrt(1 - 0.81) * _across(rng, hub, 250)
    everything = np.concatenate([hub, rays, rows[7:357]]).astype(np.float32)
    for order in (np.arange(len(everything)), np.arange(len(everything))[::-1]):
        made = filled(everything)
        found = [made.near(order[at : at + size], 0.11, 100) for at in range(0, len(order), size)]
        assert np.concatenate([part.crowded for part in found]).tolist() == [0]
        pairs = pairs_of(*found)
        assert len({*pairs}) == len(pairs) and near(everything, 0.11) <= {*pairs}


def _across(rng: np.random.Generator, hub: Float32Array, n: int) -> Float64Array:
    """Return vectors of length one that are at right angles to one."""
    made = rng.normal(size=(n, hub.shape[1]))
    made -= (made @ hub.T) * hub
    result: Float64Array = made / np.linalg.norm(made, axis=1, keepdims=True)
    return result


def test_pairs_of_crowded_rows_alone_are_left_out(rows: Float32Array, dtype: torch.dtype) -> None:
    same = np.repeat(rows[:1], 500, axis=0)
    found = filled(np.concatenate([same, rows])).near(np.array([0, 900]), DISTANCE, 100)
    assert found.crowded.tolist() == [0]
    assert set(found.rows.tolist()) == {900}
