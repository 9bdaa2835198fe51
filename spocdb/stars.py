"""Groups of near-duplicates: stars around keepers, so that groups do not chain.

contents in the order of the keeper rule, their neighbours, decisions -> each one's keeper
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

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
    one: Mapping[bytes, bytes],
    apart: Together,
    contents: AbstractSet[bytes],
    known: Mapping[bytes, int] = MappingProxyType({}),
) -> list[Member]:
    """Return the images of contents, each with the keeper of its group.

    `images` (id, content) are in the order of the keeper rule: those of the contents and of all
    their neighbours. `edges` are the pairs of the contents with others, in both directions. `one`
    is what stands for those decided to be the same, see `united`; those to be kept `apart` are in
    different groups. The other contents are grouped already: `known` are the ids of their keepers,
    for those that are no keepers alone. An image without a duplicate is a group of one.
    """
    of_node: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for id, content in images:
        of_node[one[content]].append((id, content))
    near: dict[bytes, dict[bytes, float]] = defaultdict(dict)
    for a, b, distance in edges:
        if a in one and b in one and one[a] != one[b] and frozenset((a, b)) not in apart:
            least = near[one[a]].get(one[b], distance)
            near[one[a]][one[b]] = min(least, distance)
    foes: dict[bytes, set[bytes]] = defaultdict(set)
    for pair in apart:
        a, b = (one.get(content, content) for content in pair)
        foes[a].add(b)
        foes[b].add(a)
    node_of = {id: one[content] for id, content in images}
    joined = {node: node for content, node in one.items() if content not in contents}
    joined |= {
        one[content]: node_of.get(id, b"") for content, id in known.items() if content in one
    }
    found = stars([*of_node], near, foes, joined)
    return [
        Member(id, content, of_node[star][0][0], distance)
        for node, (star, distance) in found.items()
        for id, content in of_node[node]
    ]


def stars(
    contents: Sequence[bytes],
    near: Mapping[bytes, Mapping[bytes, float]],
    apart: Mapping[bytes, AbstractSet[bytes]],
    joined: Mapping[bytes, bytes] = MappingProxyType({}),
) -> dict[bytes, tuple[bytes, float]]:
    """Return for each content the keeper that it joins, itself if it is one, and their distance.

    `contents` are in the order of the keeper rule, `near` are their neighbours with distances. Each
    content joins the nearest keeper before it whose group has no content that it is kept `apart`
    from, or becomes a keeper. So no content is farther from its keeper than its neighbours are, and
    two keepers are neighbours only if somebody keeps their groups apart.

    Contents that have `joined` a keeper stay there, and are left out of the result.
    """
    found: dict[bytes, tuple[bytes, float]] = {}
    groups: dict[bytes, set[bytes]] = defaultdict(set)
    keepers: set[bytes] = set()
    rank = {content: place for place, content in enumerate(contents)}
    for content in contents:
        if content in joined:
            keeper = joined[content]
        else:
            nearest = (
                (distance, rank[other], other)
                for other, distance in near.get(content, {}).items()
                if other in keepers and groups[other].isdisjoint(apart.get(content, ()))
            )
            distance, _, keeper = min(nearest, default=(0.0, 0, content))
            found[content] = keeper, distance
        if keeper == content:
            keepers.add(content)
        groups[keeper].add(content)
    return found


def united(contents: Iterable[bytes], same: Together) -> dict[bytes, bytes]:
    """Return for each content the one that stands for all that were decided to be the same."""
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
