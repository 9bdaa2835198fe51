"""Products of rounded embeddings: exact as numbers, and off by no more than their margin."""

import numpy as np
import pytest
import torch

from spocdb.features import rounding
from spocdb.features.rounding import rounded
from spocdb.records import Float32Array

TYPES = [torch.float32, torch.int8]


def unit(n: int, dim: int, seed: int = 0) -> Float32Array:
    """Return vectors of length one: half of them with a large element, half of equal ones."""
    made = np.random.default_rng(seed).normal(size=(n, dim))
    made[::2, 0] *= 20
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    result: Float32Array = made.astype(np.float32)
    return result


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("n", "m", "dim"), [(1, 1, 1), (5, 1, 3), (3, 700, 64), (512, 1024, 256)])
def test_products_are_within_their_margin(dtype: torch.dtype, n: int, m: int, dim: int) -> None:
    one, other = unit(n, dim), unit(m, dim, seed=1)
    a, b = rounded(one, dtype), rounded(other, dtype)
    products = rounding.multiply(a.values, b.values, rounding.room(dtype))
    exact = one.astype(np.float64) @ other.T.astype(np.float64)
    off = np.abs((products * a.scales[:, None] * b.scales).double().numpy() - exact)
    slack = rounding.margin(a.errors[:, None], b.errors, dim)
    assert (off <= slack.numpy()).all()
    # The margin is worth something: a few hundredths.
    assert float(slack.min()) < 0.05


def test_int8_is_used_only_if_it_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturated(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
        pairs = [a[:, i : i + 2].long() @ b[i : i + 2].long() for i in range(0, a.shape[1], 2)]
        out.copy_(torch.stack(pairs).clamp(-(2**15), 2**15 - 1).sum(0))

    # The emulation is slow, and the largest values are in any product.
    monkeypatch.setattr(rounding, "ASKED", 16)
    monkeypatch.setattr(rounding, "TILE", 64)
    monkeypatch.setattr(rounding, "_multiply_int8", saturated)
    assert rounding.fastest.__wrapped__(64) == torch.float32
    monkeypatch.setattr(rounding, "_multiply_int8", None)
    assert rounding.fastest.__wrapped__(64) == torch.float32


def test_the_type_that_takes_less_time_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if not rounding._is_exact(64):
        pytest.skip("products of int8 are not exact on this processor")
    for fast in TYPES:
        monkeypatch.setattr(rounding, "_seconds", lambda dim, dtype, fast=fast: dtype != fast)
        assert rounding.fastest.__wrapped__(64) == fast


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("least", [0.8, 0.01, -0.5])
def test_no_pair_is_missed_whatever_the_signs(dtype: torch.dtype, least: float) -> None:
    one, other = unit(60, 16), unit(300, 16, seed=1)
    a, b = rounded(one, dtype), rounded(other, dtype)
    products = rounding.multiply(a.values, b.values, rounding.room(dtype))
    bounds = rounding.reach(a, b, least) / a.scales
    found = {*map(tuple, torch.stack(rounding.pairs(products, a, b, least, bounds)).T.tolist())}
    exact = one.astype(np.float64) @ other.T.astype(np.float64)
    assert {*map(tuple, np.argwhere(exact >= least).tolist())} <= found
    assert len(found) < exact.size
