"""Thresholds of a wanted precision, and what they find in other pictures.

A true pair is a photograph and its changed copy, a false one any two pictures of different
photographs. Two copies of one photograph are neither: their recall is counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.copies.halves import BoolArray, Half
from spocdb.records import Float32Array

PRECISION = 0.99
# The name of the pairs of two changed copies.
COPIES = "two copies"


@dataclass(frozen=True, slots=True)
class Count:
    """How many pairs were found, of how many."""

    found: int
    of: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.found + other.found, self.of + other.of)


@dataclass(frozen=True, slots=True)
class Counts:
    """The pairs that were found: of each change, of two copies, and of different photographs."""

    by_change: Mapping[str, Count]
    copies: Count
    false: Count

    def __add__(self, other: "Counts") -> "Counts":
        by_change = {name: count + other.by_change[name] for name, count in self.by_change.items()}
        return Counts(by_change, self.copies + other.copies, self.false + other.false)

    def as_dict(self) -> dict[str, Any]:
        """Return recall and precision, for JSON."""
        true = sum(self.by_change.values(), Count(0, 0))
        n_found = true.found + self.false.found
        each = {name: _part(count.found, count.of) for name, count in self.by_change.items()}
        return {
            "recall": _part(true.found, true.of),
            "precision": _part(true.found, n_found),
            "by_change": each | {COPIES: _part(self.copies.found, self.copies.of)},
            "n_true": true.of,
            "n_false": self.false.of,
            "n_false_found": self.false.found,
        }


def _part(found: int, of: int) -> float | None:
    return found / of if of else None


def threshold(
    distances: Float32Array, half: Half, changes: Sequence[str], precision: float = PRECISION
) -> float | None:
    """Return the largest distance (of n, n) up to which the pairs have a precision.

    None: there is no such distance.
    """
    true = np.concatenate([distances[half.of_change(change)] for change in changes])
    false = distances[half.unrelated()]
    # Pairs of equal distances are found together.
    steps = np.unique(np.concatenate([true, false]))
    n_true, n_false = (
        np.searchsorted(np.sort(some), steps, side="right") for some in (true, false)
    )
    good = np.flatnonzero((n_true > 0) & (n_true >= precision * (n_true + n_false)))
    return float(steps[good[-1]]) if len(good) else None


def counted(near: BoolArray, half: Half, changes: Sequence[str]) -> Counts:
    """Count the pairs that were found: near (n, n) is symmetric."""

    def count(pairs: BoolArray) -> Count:
        return Count(int((near & pairs).sum()), int(pairs.sum()))

    by_change = {change: count(half.of_change(change)) for change in changes}
    return Counts(by_change, count(half.copies()), count(half.unrelated()))
