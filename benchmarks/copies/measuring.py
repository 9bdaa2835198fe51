"""The figures of a set of changes: pairs by each method, and groups by spocdb and its peer."""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

from benchmarks.copies.halves import Half
from benchmarks.copies.methods import Compared, Method, linked
from benchmarks.copies.pairs import Counts, counted, threshold
from benchmarks.copies.stored import Spocdb


def pairs(method: Method, halves: Sequence[Half], changes: Sequence[str]) -> dict[str, Any]:
    """Return what a method finds in each half up to the distance chosen on the other one."""
    first, second = halves
    both = [(method.compare(first, second), first), (method.compare(second, first), second)]
    chosen = [threshold(one.distances, half, changes) for one, half in both]
    used = chosen[::-1]
    counts = [
        _counted(one, half, changes, most) for (one, half), most in zip(both, used, strict=True)
    ]
    return {"method": method.name, "thresholds": used} | reduce(add, counts).as_dict()


def groups(
    method: Spocdb, halves: Sequence[Half], distances: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Yield at each distance the groups of spocdb, and those of single linkage."""
    first, second = halves
    both = [(method.compare(first, second), first), (method.compare(second, first), second)]
    for most in distances:
        stars = [stored.groups(most) for stored, _ in both]
        chains = [linked(half, stored.distances, most) for stored, half in both]
        yield {
            "method": method.name,
            "distance": most,
            "stars": reduce(add, stars).as_dict(),
            "linkage": reduce(add, chains).as_dict(),
        }


def _counted(one: Compared, half: Half, changes: Sequence[str], most: float | None) -> Counts:
    # Without a distance of the wanted precision nothing is found.
    near = one.distances < -1 if most is None else one.near(most)
    return counted(near, half, changes)
