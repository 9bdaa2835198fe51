"""Near-duplicates of a collection: compare what is new, and group what is near.

    changes -> nearest contents -> pairs -> decisions -> stars around keepers -> groups

Each batch of changes is one transaction, which holds the search: two processes take turns, and
after a crash the batch is due again. A batch regroups only what is connected with its contents.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import get_args

from spocdb.db import (
    collections,
    duplicate_groups,
    duplicate_pairs,
    duplicates,
    spaces,
    thresholds,
)
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.duplicate_groups import Verdict
from spocdb.db.duplicate_pairs import Near
from spocdb.db.duplicates import DuplicateSearch
from spocdb.db.spaces import Space
from spocdb.db.thumbnails import Content
from spocdb.errors import ConfigError, InvalidValue, UnknownChoice
from spocdb.images.signatures import VERSION
from spocdb.keepers import DEFAULT, parse
from spocdb.records import Level
from spocdb.stars import Pair, grouped
from spocdb.wording import counted

log = logging.getLogger(__name__)

# Contents of a transaction.
BATCH = 200
# Neighbours that are asked for at first, and how many times more if all of them are near.
FIRST_K, TIMES = 8, 8
# Neighbours that are stored of a content, the nearest ones.
MOST_NEIGHBOURS = 1000

OnDone = Callable[[int, int], None]


def find(
    connection: Connection,
    collection: Collection,
    distance: float | None,
    keep: str | None,
    on_done: OnDone,
    *,
    level: Level | None = None,
    again: bool = False,
) -> None:
    """Find the duplicates of a collection by its active projection; None keeps what was asked for.

    With `again` all contents are compared again.

    Raises:
        InvalidValue: The distance is out of range, or so large that it joins everything.
        ConfigError: The rule has an unknown term; both a distance and a level are given; there is
            no such level, or the collection is not calibrated.
    """
    # Written so that NaN fails too.
    if distance is not None and not 0 <= distance <= 2:
        raise InvalidValue("distance", distance, "0 to 2")
    if level is not None and level not in (levels := get_args(Level)):
        raise UnknownChoice("level", level, levels)
    if distance is not None and level is not None:
        raise ConfigError("give `distance=...` or `level=...`, not both", field="level")
    space = spaces.active(connection, collection)
    with connection.transaction():
        # No ingest may have images under way that neither the trigger nor `begin` sees.
        collections.hold(connection, collection)
        before = duplicates.lock(connection, space)
        known = before or DuplicateSearch(None, DEFAULT)
        rule = known.keep if keep is None else keep
        parse(rule)
        if distance is not None:
            wanted = DuplicateSearch(distance, rule)
        elif asked := level or known.level:
            wanted = _of_level(connection, collection, asked, rule)
        else:
            wanted = replace(known, keep=rule)
        if wanted != before or again:
            duplicates.begin(connection, space, wanted)
        duplicates.note_gone(connection, space)
        due = duplicates.n_due(connection, space)
    done = 0
    for n in _batches(connection, space, is_strict=True):
        done += n
        on_done(done, max(due, done))


def _of_level(
    connection: Connection, collection: Collection, level: Level, keep: str
) -> DuplicateSearch:
    """Return how duplicates of a level are found by the active projection.

    Raises:
        ConfigError: The collection is not calibrated.
    """
    if level == "bytes":
        return DuplicateSearch(None, keep, level)
    found = thresholds.find(connection, collection)
    if found is None:
        raise ConfigError(
            f"collection {collection.name} is not calibrated for its active projection: "
            f"run `db.duplicates.calibrate({collection.name!r})`",
            field="level",
        )
    if level == "scene":
        return DuplicateSearch(found.scene, keep, level)
    return DuplicateSearch(found.scene, keep, level, found.picture, found.bits)


def unsigned(connection: Connection, collection: Collection) -> list[Content]:
    """Return the contents of possible pairs that have no signature yet."""
    return duplicate_pairs.unsigned(connection, spaces.active(connection, collection), VERSION)


def signed(connection: Connection, collection: Collection, contents: Sequence[Content]) -> None:
    """Group contents whose signatures were stored after they were compared."""
    space = spaces.active(connection, collection)
    hashes = [bytes.fromhex(content.sha256) for content in contents]
    duplicates.note_compared(connection, space, hashes)
    for _ in _batches(connection, space):
        pass


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
        duplicates.note_elsewhere(connection, collection, contents)
        for space in spaces.searched(connection, collection):
            if search := duplicates.lock(connection, space):
                _regroup(connection, space, search, {*contents})


def catch_up(
    connection: Connection,
    searched: Sequence[Space],
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Find the duplicates of what was added, until stopped; the rest stays due."""
    for space in searched:
        if is_stopped() or not duplicates.is_due(connection, space):
            continue
        for _ in _batches(connection, space):
            if is_stopped():
                break


def _batches(connection: Connection, space: Space, *, is_strict: bool = False) -> Iterator[int]:
    """Compare and group what is due, a batch a transaction; yield how many contents each has.

    Raises:
        InvalidValue: Half of the first batch have too many neighbours, and `is_strict`.
    """
    while n := _batch(connection, space, is_strict=is_strict):
        yield n
        is_strict = False


def _batch(connection: Connection, space: Space, *, is_strict: bool) -> int:
    """Compare and group some contents that are due; return how many.

    Raises:
        InvalidValue: Half of them have too many neighbours, and `is_strict`.
    """
    with connection.transaction():
        search = duplicates.lock(connection, space)
        if search is None:
            return 0
        contents, reordered = duplicates.take(connection, space, BATCH)
        if not contents and not reordered:
            return 0
        touched = {*contents, *reordered}
        touched |= duplicate_pairs.forget(connection, space, contents, search.distance)
        if search.distance is not None and contents:
            found = _compared(connection, space, contents, search.distance, is_strict=is_strict)
            duplicate_pairs.add(connection, space, found)
        _regroup(connection, space, search, touched)
        return len(contents) + len(reordered)


def _compared(
    connection: Connection,
    space: Space,
    contents: list[bytes],
    distance: float,
    *,
    is_strict: bool,
) -> list[Pair]:
    """Return the pairs of contents with others up to a distance, as far as the index finds them.

    The nearest are asked for, and more of them until one is farther.
    """
    connection.execute("SELECT spocdb.iterative_scan()")
    found, crowded, asked, k = list[Pair](), 0, contents, FIRST_K
    while asked:
        rows: dict[bytes, list[Near]] = defaultdict(list)
        for row in duplicate_pairs.nearest(connection, space, asked, k):
            rows[row.content].append(row)
        asked = []
        for content, nearest in rows.items():
            near = [row for row in nearest if row.distance <= distance and row.other != content]
            is_all_near = max(row.farthest for row in nearest) <= distance
            is_cut = sum(row.n_images for row in nearest) >= k and is_all_near
            if is_cut and len(near) <= MOST_NEIGHBOURS:
                asked.append(content)
                continue
            crowded += len(near) > MOST_NEIGHBOURS
            near.sort(key=lambda row: (row.distance, row.other))
            found += [(content, row.other, row.distance) for row in near[:MOST_NEIGHBOURS]]
        k *= TIMES
    _tell(space.collection, distance, crowded, len(contents), is_strict=is_strict)
    return found


def _tell(
    collection: Collection, distance: float, crowded: int, of: int, *, is_strict: bool
) -> None:
    """Log that contents have more neighbours than are stored.

    Raises:
        InvalidValue: That is so of half of them, and `is_strict`.
    """
    if is_strict and 2 * crowded >= of:
        many = f"smaller: half of the images have more than {MOST_NEIGHBOURS:,} as near as that"
        raise InvalidValue("distance", distance, many)
    if crowded:
        log.warning(
            "%s: %s more than %s others as near as %s: only the nearest are compared",
            *(collection.name, counted(crowded, "image has", "images have")),
            *(f"{MOST_NEIGHBOURS:,}", f"{distance:g}"),
        )


def _regroup(
    connection: Connection, space: Space, search: DuplicateSearch, touched: set[bytes]
) -> None:
    """Group anew what is connected with contents that were touched."""
    contents, edges = _connected(connection, space, touched)
    images = duplicates.in_order(connection, space, contents, parse(search.keep))
    same, apart = duplicate_pairs.decided(connection, contents)
    duplicates.regroup(connection, space, contents, grouped(images, edges, same, apart))


def _connected(
    connection: Connection, space: Space, touched: set[bytes]
) -> tuple[list[bytes], list[Pair]]:
    """Return all contents that are connected by pairs with some, and these pairs both ways."""
    seen, reached, edges = {*touched}, touched, list[Pair]()
    while reached:
        found = duplicate_pairs.edges(connection, space, reached)
        edges += found
        reached = {other for _, other, _ in found} - seen
        seen |= reached
    return sorted(seen), edges
