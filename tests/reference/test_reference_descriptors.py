"""Raw descriptors of real photographs equal those of an independent implementation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spocdb.features.extractor import load_extractor
from spocdb.features.precision import Precision
from spocdb.features.recipes import make_recipe, split
from spocdb.features.weights import sha256_of
from spocdb.images.decode import decode
from spocdb.records import Float32Array, UInt8Array

OPTIONS: dict[str, dict[str, Any]] = {
    "sum": {"centering": False},
    "centre": {"centering": True},
    "max": {"pooling": "max"},
}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    with np.load(shared / "reference" / "squeezenet1_1_586_raw.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def photographs(shared: Path, reference: dict[str, Any]) -> list[UInt8Array]:
    files = [shared / "data" / "holidays_dev" / name for name in reference["name"]]
    return [decode(file.read_bytes(), 586, "warp", 10_000_000).pixels for file in files]


def least_cosine(a: Float32Array, b: Float32Array) -> float:
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    return float((a.astype(np.float64) * b).sum(axis=1).min())


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bfloat16", 0.9995)])
def test_descriptors_are_the_references(
    precision: Precision,
    least: float,
    photographs: list[UInt8Array],
    reference: dict[str, Any],
    squeezenet_weights: Path,
) -> None:
    weights = sha256_of(squeezenet_weights)
    recipes = {
        make_recipe("squeezenet1_1", weights, **options): kind for kind, options in OPTIONS.items()
    }
    first, *others = recipes
    extractor = load_extractor(
        first, squeezenet_weights, "cpu", precision, others=dict.fromkeys(others)
    )
    batches = (photographs[i : i + 8] for i in range(0, len(photographs), 8))
    raw = np.concatenate([extractor.extract(batch) for batch in batches])
    assert len(raw) == 32
    for recipe, part in split(raw, [*recipes]).items():
        assert least_cosine(part, reference[recipes[recipe]]) >= least, recipes[recipe]
