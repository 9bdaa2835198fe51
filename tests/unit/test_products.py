"""Which embeddings are near each other, by products: nothing is missed, and little is added."""

import numpy as np
import pytest
import torch

from spocdb.features import products
from spocdb.features.products import Products, margin
from spocdb.records import Float32Array

TYPES = [torch.float32, torch.bfloat16]
DISTANCE = 0.2


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
    monkeypatch.setattr(products, "fastest", lambda: result)
    # Several tiles, the last one smaller.
    monkeypatch.setattr(products, "TILE", 300)
    return result


def filled(rows: Float32Array) -> Products:
    return Products(rows[begin : begin + 300] for begin in range(0, len(rows), 300))


def test_every_pair_is_found_and_none_that_is_farther_than_the_margin(
    rows: Float32Array, dtype: torch.dtype
) -> None:
    asked = np.arange(0, 700, 3)
    found = filled(rows).near(asked, DISTANCE, 700)
    pairs = {
        (int(asked[one]), int(other)) for one, other in zip(found.rows, found.columns, strict=True)
    }
    exact = 1 - rows.astype(np.float64) @ rows.T.astype(np.float64)
    near = {(int(a), int(b)) for a in asked for b in np.flatnonzero(exact[a] <= DISTANCE)}
    assert near <= pairs and len(near) > 400
    # The bound itself is rounded, too.
    wide = DISTANCE + 2 * margin(dtype, 64) + products.ROUNDING[dtype]
    assert all(exact[pair] <= wide for pair in pairs)
    assert not len(found.crowded)


def test_pairs_at_the_very_distance_are_found(rows: Float32Array, dtype: torch.dtype) -> None:
    """As rounding to the type alone would miss some of them, each is asked for by its distance."""
    made, exact = filled(rows), 1 - rows.astype(np.float64) @ rows.T.astype(np.float64)
    pairs = np.argwhere((exact > 0.15) & (exact < 0.25))[::20]
    assert len(pairs) > 50
    for one, other in pairs:
        found = made.near(np.array([one]), exact[one, other] + 1e-6, 700)
        assert other in found.columns


def test_crowded_rows_are_told_and_left_out(rows: Float32Array, dtype: torch.dtype) -> None:
    same = np.repeat(rows[:1], 500, axis=0)
    found = filled(np.concatenate([same, rows])).near(np.array([0, 900]), DISTANCE, 100)
    assert found.crowded.tolist() == [0]
    assert set(found.rows.tolist()) == {1} and 900 in found.columns


def test_a_type_that_is_not_within_its_margin_is_not_used(
    rows: Float32Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "fastest", lambda: torch.bfloat16)
    monkeypatch.setattr(products, "margin", lambda dtype, dim: 1e-9)
    monkeypatch.setitem(products.ROUNDING, torch.bfloat16, 0.0)
    made = filled(rows)
    assert made._dtype == torch.float32
