"""Groups of near-duplicates: stars around keepers, so that groups do not chain.

contents in the order of the keeper rule, their neighbours, decisions -> each one's keeper
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

# Two contents and their distance.
Pair = tuple[bytes, bytes, float]
# Two contents in no order.
Together = AbstractSet[frozenset[bytes]]


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group, its content, and its distance from the group's keeper."""

    image: int
    content: bytes
    keeper: int
    distance: float


def grouped(
    images: Sequence[tuple[int, bytes]],
    edges: Iterable[Pair],
    same: Together = frozenset(),
    apart: Together = frozenset(),
) -> list[Member]:
    """Group images (id, content) that are given in the order of the keeper rule.

    `edges` are pairs of contents with their distances, in both directions. Contents decided to be
    the `same` are one; those to be kept `apart` are in different groups. Images without a duplicate
    are in no group.
    """
    one = _united([content for _, content in images], same)
    of_node: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for id, content in images:
        of_node[one[content]].append((id, content))
    near: dict[bytes, dict[bytes, float]] = defaultdict(dict)
    for a, b, distance in edges:
        if a in one and b in one and one[a] != one[b]:
            known = near[one[a]].get(one[b], distance)
            near[one[a]][one[b]] = min(known, distance)
    foes: dict[bytes, set[bytes]] = defaultdict(set)
    for pair in apart:
        a, b = (one.get(content, content) for content in pair)
        foes[a].add(b)
        foes[b].add(a)
    members: dict[int, list[Member]] = defaultdict(list)
    for node, (star, distance) in stars([*of_node], near, foes).items():
        keeper = of_node[star][0][0]
        members[keeper] += [Member(id, content, keeper, distance) for id, content in of_node[node]]
    return [member for group in members.values() if len(group) > 1 for member in group]


def stars(
    contents: Sequence[bytes],
    near: Mapping[bytes, Mapping[bytes, float]],
    apart: Mapping[bytes, AbstractSet[bytes]],
) -> dict[bytes, tuple[bytes, float]]:
    """Return for each content the keeper that it joins, itself if it is one, and their distance.

    `contents` are in the order of the keeper rule, `near` are their neighbours with distances. Each
    content joins the nearest keeper before it whose group has no content that it is kept `apart`
    from, or becomes a keeper. So no content is farther from its keeper than its neighbours are, and
    two keepers are neighbours only if somebody keeps their groups apart.
    """
    found: dict[bytes, tuple[bytes, float]] = {}
    groups: dict[bytes, set[bytes]] = {}
    rank = {content: place for place, content in enumerate(contents)}
    for content in contents:
        keepers = (
            (distance, rank[other], other)
            for other, distance in near.get(content, {}).items()
            if other in groups and groups[other].isdisjoint(apart.get(content, ()))
        )
        distance, _, keeper = min(keepers, default=(0.0, 0, content))
        groups.setdefault(keeper, set()).add(content)
        found[content] = keeper, distance
    return found


def _united(contents: Iterable[bytes], same: Together) -> dict[bytes, bytes]:
    """Return for each content the one that stands for all that are the same."""
    parent = {content: content for content in contents}

    def root(content: bytes) -> bytes:
        while parent[content] != content:
            parent[content] = parent[parent[content]]
            content = parent[content]
        return content

    for pair in same:
        a, b = sorted(pair)
        if a in parent and b in parent:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
    return {content: root(content) for content in parent}
