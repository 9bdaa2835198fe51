"""Groups are stars around keepers: no chains, and the same whatever the order of the pairs."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spocdb.stars import Member, Pair, Together, grouped, stars, united

Near = dict[bytes, dict[bytes, float]]


@st.composite
def neighbourhoods(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[bytes, bytes, float]]]:
    """Draw contents in the order of a keeper rule, and pairs of them with distances."""
    contents = [bytes([n]) for n in range(draw(st.integers(1, 12)))]
    pairs = [(a, b) for a in contents for b in contents if a < b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    distances = draw(
        st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=len(chosen), max_size=len(chosen))
    )
    order = draw(st.permutations(contents))
    return list(order), [(a, b, d) for (a, b), d in zip(chosen, distances, strict=True)]


def together(
    images: list[tuple[int, bytes]],
    edges: list[Pair],
    same: Together = frozenset(),
    apart: Together = frozenset(),
) -> list[Member]:
    """Group everything at once; leave out groups of one."""
    one = united((content for _, content in images), same)
    members = grouped(images, edges, one, apart, {content for _, content in images})
    keepers = {member.keeper for member in members if member.image != member.keeper}
    return [member for member in members if member.keeper in keepers]


def both_ways(edges: list[tuple[bytes, bytes, float]]) -> Near:
    near: Near = {}
    for a, b, distance in edges:
        near.setdefault(a, {})[b] = distance
        near.setdefault(b, {})[a] = distance
    return near


@given(neighbourhoods())
def test_every_content_is_near_its_keeper_and_no_keepers_are_near_each_other(
    drawn: tuple[list[bytes], list[tuple[bytes, bytes, float]]],
) -> None:
    contents, edges = drawn
    near = both_ways(edges)
    found = stars(contents, near, {})
    assert [*found] == contents
    for content, (keeper, distance) in found.items():
        assert found[keeper] == (keeper, 0.0)
        if keeper != content:
            assert near[content][keeper] == distance
            assert contents.index(keeper) < contents.index(content)
            others = [d for other, d in near[content].items() if found[other][0] == other]
            assert distance <= min(
                near[content][other]
                for other in near[content]
                if found[other][0] == other and contents.index(other) < contents.index(content)
            )
            assert others
    keepers = {keeper for keeper, _ in found.values()}
    assert not any(other in keepers for keeper in keepers for other in near.get(keeper, {}))


@given(neighbourhoods(), st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing(
    drawn: tuple[list[bytes], list[tuple[bytes, bytes, float]]], rng: random.Random
) -> None:
    contents, edges = drawn
    images = [(n, content) for n, content in enumerate(contents)]
    first = together(images, [*edges, *((b, a, d) for a, b, d in edges)])
    shuffled = [*edges, *((b, a, d) for a, b, d in edges)]
    rng.shuffle(shuffled)
    assert together(images, shuffled) == first


def test_a_chain_is_no_group() -> None:
    near = both_ways([(b"a", b"b", 0.1), (b"b", b"c", 0.1), (b"c", b"d", 0.1)])
    found = stars([b"a", b"b", b"c", b"d"], near, {})
    assert {content: keeper for content, (keeper, _) in found.items()} == {
        b"a": b"a",
        b"b": b"a",
        b"c": b"c",
        b"d": b"c",
    }


def test_images_of_the_same_bytes_are_a_group() -> None:
    members = together([(1, b"a"), (2, b"b"), (3, b"a")], [])
    assert [(m.image, m.keeper, m.distance) for m in members] == [(1, 1, 0), (3, 1, 0)]


def test_copies_of_a_duplicate_are_as_far_as_it_is() -> None:
    edges = [(b"a", b"b", 0.2), (b"b", b"a", 0.2)]
    members = together([(1, b"a"), (2, b"b"), (3, b"b")], edges)
    assert [(m.image, m.keeper, m.distance) for m in members] == [
        (1, 1, 0),
        (2, 1, 0.2),
        (3, 1, 0.2),
    ]


@given(neighbourhoods(), st.data())
def test_decisions_hold_in_every_group(
    drawn: tuple[list[bytes], list[tuple[bytes, bytes, float]]], data: st.DataObject
) -> None:
    contents, edges = drawn
    pairs = [frozenset((a, b)) for a in contents for b in contents if a < b]
    if not pairs:
        return
    same = {*data.draw(st.lists(st.sampled_from(pairs), max_size=3))}
    apart = {*data.draw(st.lists(st.sampled_from(pairs), max_size=5))} - same
    images = [(n, content) for n, content in enumerate(contents)]
    both = [*edges, *((b, a, d) for a, b, d in edges)]
    keeper = {m.content: m.keeper for m in together(images, both, same, apart)}
    for pair in same:
        one, other = pair
        assert keeper[one] == keeper[other]
    united = {content for pair in same for content in pair}
    for pair in apart:
        one, other = pair
        # Contents that are the same as others may be so by way of each other.
        if not {one, other} & united:
            assert one not in keeper or keeper[one] != keeper.get(other)


def test_the_same_join_wherever_they_are_near() -> None:
    """B is near nothing but A, which is a member: B is in the group of A."""
    edges = [(b"k", b"a", 0.1), (b"a", b"k", 0.1)]
    members = together([(1, b"k"), (2, b"a"), (3, b"b")], edges, {frozenset((b"a", b"b"))})
    assert [(m.image, m.keeper) for m in members] == [(1, 1), (2, 1), (3, 1)]


def test_the_different_are_in_no_group_of_a_third() -> None:
    edges = [(b"k", b"a", 0.1), (b"k", b"b", 0.1)]
    both = [*edges, *((b, a, d) for a, b, d in edges)]
    members = together([(1, b"k"), (2, b"a"), (3, b"b")], both, apart={frozenset((b"a", b"b"))})
    assert [(m.image, m.keeper) for m in members] == [(1, 1), (2, 1)]
