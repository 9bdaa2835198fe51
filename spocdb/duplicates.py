"""Near-duplicates of a collection: compare what is new, and group what is near.

    changes -> nearest contents -> pairs -> decisions -> stars around keepers -> groups

Each batch of changes is one transaction, which holds the search: two processes take turns, and
after a crash the batch is due again. A batch regroups only what is connected with its contents.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from spocdb.db import duplicate_groups, duplicates
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.duplicate_groups import Verdict
from spocdb.db.duplicates import DuplicateSearch, Member, Pair
from spocdb.errors import ConfigError, InvalidValue, UnknownChoice
from spocdb.keepers import DEFAULT, parse

# Contents of a transaction.
BATCH = 200
# Neighbours that are asked for at first, and how many times more if all of them are near.
FIRST_K, TIMES = 8, 8
# A content that has more neighbours is no near-duplicate of them: the distance is too large.
MOST_NEIGHBOURS = 1000

OnDone = Callable[[int], None]


def find(
    connection: Connection,
    collection: Collection,
    distance: float | None,
    keep: str | None,
    on_done: Callable[[int, int], None],
) -> None:
    """Find the duplicates of a collection by its active projection; None keeps what was asked for.

    Raises:
        InvalidValue: The distance is out of range, or too large, see `update`.
        ConfigError: The rule has an unknown term.
    """
    # Written so that NaN fails too.
    if distance is not None and not 0 <= distance <= 2:
        raise InvalidValue("distance", distance, "0 to 2")
    projection = collection.active_projection_id
    with connection.transaction():
        before = duplicates.lock(connection, collection, projection)
        known = before or DuplicateSearch(None, DEFAULT)
        wanted = DuplicateSearch(
            known.distance if distance is None else distance, known.keep if keep is None else keep
        )
        parse(wanted.keep)
        if wanted != before:
            duplicates.begin(connection, collection, projection, wanted)
        due = duplicates.n_due(connection, collection, projection)
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        on_done(done, max(due, done))

    update(connection, collection, projection, count)


def decide(
    connection: Connection,
    collection: Collection,
    ids: tuple[int, int],
    verdict: Verdict | None,
) -> None:
    """Store a decision about two images, and group them by it.

    Raises:
        ImageNotFound: The collection has no image with one of the ids.
        ConfigError: Both images have the same bytes, or there is no such verdict.
    """
    if verdict is not None and verdict not in (known := get_args(Verdict)):
        raise UnknownChoice("verdict", verdict, known)
    with connection.transaction():
        contents = duplicate_groups.contents(connection, collection, ids)
        if contents[0] == contents[1]:
            raise ConfigError(f"images {ids[0]} and {ids[1]} have the same bytes")
        duplicate_groups.decide(connection, contents, verdict)
        duplicates.note(connection, contents)
    catch_up(connection, collection)


def are_wanted(connection: Connection, collection: Collection) -> bool:
    """Tell whether duplicates of a collection were ever looked for."""
    return bool(duplicates.searches(connection, collection))


def catch_up(connection: Connection, collection: Collection) -> None:
    """Find the duplicates of what was added, by every projection that they were looked for by."""
    for projection in duplicates.searches(connection, collection):
        update(connection, collection, projection)


def update(
    connection: Connection,
    collection: Collection,
    projection: int,
    on_done: OnDone = lambda n: None,
) -> None:
    """Compare the contents that are due, and bring the groups up to date.

    `on_done` is called with the number of contents of each batch, after its commit.

    Raises:
        InvalidValue: So many contents are near one that the distance must be too large. What was
            committed stays, the rest is due.
    """
    while n := _batch(connection, collection, projection):
        on_done(n)


def _batch(connection: Connection, collection: Collection, projection: int) -> int:
    with connection.transaction():
        search = duplicates.lock(connection, collection, projection)
        if search is None:
            return 0
        contents = duplicates.take(connection, collection, projection, BATCH)
        if not contents:
            return 0
        touched = {*contents}
        touched |= duplicates.forget_pairs(connection, collection, projection, contents)
        if search.distance is not None:
            found = _compared(connection, collection, projection, contents, search.distance)
            duplicates.add_pairs(connection, collection, projection, found)
        _regroup(connection, collection, projection, search, touched)
        return len(contents)


def _compared(
    connection: Connection,
    collection: Collection,
    projection: int,
    contents: list[bytes],
    distance: float,
) -> list[Pair]:
    """Return the pairs of contents with all others up to a distance.

    The nearest are asked for, and more of them until one is farther: none is cut off.
    """
    connection.execute("SELECT spocdb.iterative_scan()")
    found, k = list[Pair](), FIRST_K
    while contents:
        rows: dict[bytes, list[tuple[bytes, float]]] = defaultdict(list)
        for one, other, apart in duplicates.nearest(
            connection, collection, projection, contents, k
        ):
            rows[one].append((other, apart))
        contents = []
        for one, others in rows.items():
            near = {other: apart for other, apart in others if apart <= distance and other != one}
            if len(near) > MOST_NEIGHBOURS:
                raise _too_far(distance)
            if len(others) == k and max(apart for _, apart in others) <= distance:
                contents.append(one)
            else:
                found += [(one, other, apart) for other, apart in near.items()]
        k *= TIMES
    return found


def _too_far(distance: float) -> InvalidValue:
    return InvalidValue(
        "distance",
        distance,
        f"smaller: more than {MOST_NEIGHBOURS:,} different images are as near as that to one",
    )


def _regroup(
    connection: Connection,
    collection: Collection,
    projection: int,
    search: DuplicateSearch,
    touched: set[bytes],
) -> None:
    """Group anew what is connected with contents that were touched."""
    contents, edges = _connected(connection, collection, projection, touched)
    images = duplicates.in_order(connection, collection, contents, parse(search.keep))
    ids = [id for id, _ in images]
    members = grouped(images, edges)
    duplicates.regroup(connection, collection, projection, ids, members)


def _connected(
    connection: Connection, collection: Collection, projection: int, touched: set[bytes]
) -> tuple[list[bytes], list[Pair]]:
    """Return all contents that are connected by pairs with some, and these pairs both ways."""
    seen, reached, edges = {*touched}, touched, list[Pair]()
    while reached:
        found = duplicates.edges(connection, collection, projection, reached)
        edges += found
        reached = {other for _, other, _ in found} - seen
        seen |= reached
    return sorted(seen), edges


def grouped(images: Sequence[tuple[int, bytes]], edges: Iterable[Pair]) -> list[Member]:
    """Group images (id, content) that are given in the order of the keeper rule.

    `edges` are pairs of contents with their distances, in both directions. Images without a
    duplicate are in no group.
    """
    of_content: dict[bytes, list[int]] = defaultdict(list)
    for id, sha256 in images:
        of_content[sha256].append(id)
    near: dict[bytes, dict[bytes, float]] = defaultdict(dict)
    for one, other, distance in edges:
        near[one][other] = distance
    members: dict[int, list[Member]] = defaultdict(list)
    for content, (star, distance) in stars([*of_content], near).items():
        keeper = of_content[star][0]
        members[keeper] += [Member(id, keeper, distance) for id in of_content[content]]
    return [member for group in members.values() if len(group) > 1 for member in group]


def stars(
    contents: Sequence[bytes], near: Mapping[bytes, Mapping[bytes, float]]
) -> dict[bytes, tuple[bytes, float]]:
    """Return for each content the keeper that it joins, itself if it is one, and their distance.

    `contents` are in the order of the keeper rule, `near` are their neighbours with distances. Each
    content joins the nearest keeper before it, or becomes one. So no content is farther from its
    keeper than its neighbours are, and groups cannot chain: two keepers are never neighbours.
    """
    found: dict[bytes, tuple[bytes, float]] = {}
    rank = {content: place for place, content in enumerate(contents)}
    for content in contents:
        keepers = (
            (distance, rank[other], other)
            for other, distance in near.get(content, {}).items()
            if found.get(other, (None,))[0] == other
        )
        distance, _, keeper = min(keepers, default=(0.0, 0, content))
        found[content] = keeper, distance
    return found
