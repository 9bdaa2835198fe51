"""What a method says about a half: the distances of all pairs, and which of them are near."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.copies import linkage
from benchmarks.copies.grouping import Grouped, judged
from benchmarks.copies.halves import BoolArray, Half
from spocdb.records import Float32Array


class Compared(Protocol):
    """The pictures of a half, compared by a method."""

    @property
    def distances(self) -> Float32Array:
        """Return the distances of all pairs (n, n), in the order of the half's files."""

    def near(self, most: float) -> BoolArray:
        """Return which pairs (n, n) the method finds up to a distance."""


class Method(Protocol):
    """A way to compare pictures."""

    @property
    def name(self) -> str:
        """Return the name in tables."""

    def compare(self, half: Half, other: Half) -> Compared:
        """Compare the pictures of a half; what has to be fitted is fitted on the other one."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Pictures that are compared in memory."""

    distances: Float32Array

    def near(self, most: float) -> BoolArray:
        """Return the pairs up to a distance."""
        found: BoolArray = self.distances <= most
        return found


def linked(half: Half, distances: Float32Array, most: float) -> Grouped:
    """Count the groups that single linkage makes of the distances."""
    return judged(linkage.groups(distances, most), half)
