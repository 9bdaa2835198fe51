"""Groups of near-duplicates, a step at a time.

    contents that have to be grouped -> their neighbours, as those are grouped -> stars -> groups
                                     -> later neighbours, if a content's keeper changed

Which keeper a content joins depends only on contents that come before it by the keeper rule. So
whatever order they are grouped in, the result is the same: that of grouping everything at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from spocdb.db import duplicate_members, duplicate_pairs
from spocdb.db.connections import Connection
from spocdb.db.duplicates import DuplicateSearch
from spocdb.db.spaces import Space
from spocdb.keepers import parse
from spocdb.stars import Member, Pair, Together, grouped, united

# Contents of a transaction.
STEP = 1000

Rows = dict[bytes, set[tuple[int, int, float]]]


def around(connection: Connection, space: Space, contents: Iterable[bytes]) -> set[bytes]:
    """Return the contents whose groups depend on these, and those of them that may have a group."""
    whole = duplicate_members.united(connection, space, contents)
    found = duplicate_members.to_group(connection, space, whole)
    for one, other, _ in duplicate_pairs.edges(connection, space, whole):
        found |= {one, other}
    return found | duplicate_members.judged(connection, whole)


def group(
    connection: Connection, space: Space, search: DuplicateSearch, contents: set[bytes]
) -> None:
    """Group contents, and all whose groups change with that."""
    while contents:
        contents = _grouped(connection, space, search, contents)


def step(connection: Connection, space: Space, search: DuplicateSearch) -> int:
    """Group some of the contents that have to be; return how many. Others may have to be then."""
    taken = duplicate_members.take(connection, space, STEP, parse(search.keep))
    later = _grouped(connection, space, search, {*taken})
    duplicate_members.note(connection, space, later)
    return len(taken)


def _grouped(
    connection: Connection, space: Space, search: DuplicateSearch, contents: set[bytes]
) -> set[bytes]:
    """Group contents by their neighbours; return other contents whose groups depend on changes."""
    if not contents:
        return set()
    contents = duplicate_members.united(connection, space, contents)
    edges = duplicate_pairs.edges(connection, space, contents)
    others = {other for _, other, _ in edges} | duplicate_members.judged(connection, contents)
    everyone = duplicate_members.united(connection, space, contents | others)
    images = duplicate_members.in_order(connection, space, everyone, parse(search.keep))
    same, apart = duplicate_pairs.decided(connection, [*everyone])
    stored = duplicate_members.stored(connection, space, everyone)
    known = {member.content: member.keeper for member in stored if member.content not in contents}
    one = united((content for _, content in images), same)
    members = grouped(images, edges, one, apart, contents, known)
    before = [member for member in stored if member.content in contents]
    keepers = {member.keeper for member in before}
    duplicate_members.put(connection, space, contents, members, keepers)
    return _dependent(images, edges, one, apart, _changed(before, members)) - contents


def _dependent(
    images: Sequence[tuple[int, bytes]],
    edges: Iterable[Pair],
    one: Mapping[bytes, bytes],
    apart: Together,
    changed: set[bytes],
) -> set[bytes]:
    """Return the contents that come after a changed one and are near it, or kept apart from it."""
    place: dict[bytes, int] = {}
    for number, (_, content) in enumerate(images):
        place.setdefault(one[content], number)
    # All that were decided to be the same changed with one of them.
    nodes = {one.get(content, content) for content in changed}
    found = set[bytes]()
    for a, b, _ in edges:
        node = one.get(a, a)
        if node in nodes and b in one and place[one[b]] > place.get(node, -1):
            found.add(b)
    for pair in apart:
        if any(one.get(content, content) in nodes for content in pair):
            found |= pair
    return found


def _changed(before: Iterable[Member], after: Sequence[Member]) -> set[bytes]:
    """Return the contents that have another keeper than before."""
    old, new = _rows(before), _rows(after)
    alone = {
        content
        for content, rows in new.items()
        if all(image == keeper for image, keeper, _ in rows)
    }
    return {
        content
        for content in {*old, *new}
        # A keeper alone had no row.
        if old.get(content) != new.get(content) and not (content in alone and content not in old)
    }


def _rows(members: Iterable[Member]) -> Rows:
    rows: Rows = defaultdict(set)
    for member in members:
        rows[member.content].add((member.image, member.keeper, member.distance))
    return rows
