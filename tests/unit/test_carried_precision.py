"""The benchmark of a precision that is chosen on one half of photographs, measured on the other."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.copies.carrying import carried, table
from benchmarks.copies.halves import Half, Shown
from spocdb.records import Float32Array

COPIES, ALL = "copies with photographs", "all pairs"
# Four photographs, the copy of each after it.
FILES = [Shown(Path(f"{n}"), n // 2, "a" if n % 2 else "") for n in range(8)]
WHOLE = Half(Path(), FILES)


def distances(**wrong: float) -> Float32Array:
    """Return distances (8, 8): 0.1 from a copy to its photograph, else 1, and those of `wrong`."""
    made = np.ones((8, 8), np.float32)
    for n in range(0, 8, 2):
        made[n, n + 1] = made[n + 1, n] = 0.1
    for name, distance in wrong.items():
        a, b = int(name[1]), int(name[2])
        made[a, b] = made[b, a] = distance
    return made


def test_a_distance_without_wrong_pairs_carries_over() -> None:
    found = carried(WHOLE, distances(), 5)
    # A picture more whose copy is wrong leaves no distance of 0.99, with so few of them.
    assert {*found} == {(COPIES, "point"), (ALL, "point")}
    for some in found.values():
        assert {(one.predicted, one.measured, one.recall) for one in some} == {(1, 1, 1)}
        assert len(some) == 10


def test_what_only_the_other_half_has_is_measured() -> None:
    # Of the second photograph's copy and the first photograph: in one half, or in two.
    for some in carried(WHOLE, distances(_03=0.05), 30).values():
        assert {round(one.measured, 3) for one in some} == {1, 0.667}
        assert {one.predicted for one in some} == {1}
    # Two copies are a wrong pair only where all pairs count.
    found = carried(WHOLE, distances(_13=0.05), 30)
    assert min(one.measured for one in found[COPIES, "point"]) == 1
    assert min(one.measured for one in found[ALL, "point"]) == pytest.approx(2 / 3)


def test_the_table() -> None:
    lines = table(carried(WHOLE, distances(), 5)).splitlines()
    assert lines[2] == f"| {COPIES} | point | 1.000 | 1.000 | 1.000 | 10 of 10 | 1.000 |"
    assert len(lines) == 4
