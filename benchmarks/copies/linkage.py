"""A peer of spocdb's groups: single linkage, as Immich's server groups duplicates.

Immich asks for the nearest embeddings of each picture within a distance, at most 64. The picture,
those that were found, and all groups that they are in become one group. So a group is connected by
a chain of near pairs, and its ends may be as far from each other as they like.
"""

from collections.abc import Iterator

import numpy as np

from spocdb.records import Float32Array

MOST_NEIGHBOURS = 64


def groups(distances: Float32Array, most: float, k: int = MOST_NEIGHBOURS) -> list[set[int]]:
    """Return the groups of two or more pictures, given their distances (n, n)."""
    group_of: dict[int, set[int]] = {}
    for picture in range(len(distances)):
        merged = {picture}
        for other in _nearest(distances[picture], picture, most, k):
            merged |= group_of.get(other, {other})
        merged |= group_of.get(picture, set())
        for member in merged:
            group_of[member] = merged
    distinct = {id(group): group for group in group_of.values()}
    return [group for group in distinct.values() if len(group) > 1]


def _nearest(distances: Float32Array, own: int, most: float, k: int) -> Iterator[int]:
    """Yield the up to k nearest others within a distance."""
    order = np.argsort(distances, kind="stable")
    others = [int(other) for other in order[: k + 1] if other != own][:k]
    yield from (other for other in others if distances[other] <= most)
