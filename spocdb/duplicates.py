"""Near-duplicates of a collection: compare what is new, and group what is near.

    changes -> nearest contents -> pairs -> decisions -> stars around keepers -> groups

Each batch is one transaction, which holds the search: two processes take turns, and after a crash
the batch is due again. What was compared is grouped when nothing is left to compare.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from spocdb import checks, grouping, pairing
from spocdb.db import (
    collections,
    duplicate_decisions,
    duplicate_groups,
    duplicate_members,
    duplicate_pairs,
    duplicate_review,
    duplicates,
    spaces,
    thresholds,
)
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.duplicate_decisions import Verdict
from spocdb.db.duplicates import DuplicateSearch
from spocdb.db.spaces import Space
from spocdb.db.thumbnails import Content
from spocdb.errors import ConfigError, UnknownChoice
from spocdb.images.signatures import VERSION
from spocdb.keepers import DEFAULT, parse
from spocdb.pairing import Neighbours
from spocdb.records import Level

OnDone = Callable[[int, int], None]


def find(
    connection: Connection,
    collection: Collection,
    distance: float | None,
    keep: str | None,
    on_done: OnDone,
    on_grouped: OnDone,
    *,
    level: Level | None = None,
    again: bool = False,
) -> None:
    """Find the duplicates of a collection by its active projection; None keeps what was asked for.

    With `again` all contents are compared again. After each batch `on_done` is called with the
    contents that are compared and that were due, then `on_grouped` with those that are grouped.

    Raises:
        InvalidValue: The distance is out of range, or so large that it joins everything.
        ConfigError: The rule has an unknown term; both a distance and a level are given; there is
            no such level, or the collection is not calibrated.
    """
    if distance is not None:
        distance = checks.number("distance", distance, 0, 2)
    if level is not None and level not in (levels := get_args(Level)):
        raise UnknownChoice("level", level, levels)
    if distance is not None and level is not None:
        raise ConfigError("give `distance=...` or `level=...`, not both", field="level")
    space = spaces.active(connection, collection)
    with connection.transaction():
        # No ingest may have images under way that neither the trigger nor `note_all` sees.
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
        duplicates.put(connection, space, wanted)
        if before is None or before.distance != wanted.distance or again:
            duplicates.note_all(connection, space)
        elif before != wanted:
            duplicate_members.note_all(connection, space)
        duplicates.note_gone(connection, space)
        due = duplicates.n_due(connection, space)
    _tell(_compared(connection, space, is_strict=True), due, on_done)
    _tell(_grouped(connection, space), duplicate_members.n_ungrouped(connection, space), on_grouped)


def _tell(batches: Iterator[int], due: int, on_done: OnDone) -> None:
    done = 0
    for n in batches:
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
        duplicate_decisions.decide(connection, contents, verdict)
        _apply(connection, collection, {*contents})


def keep(
    connection: Connection,
    collection: Collection,
    choices: Mapping[int, Sequence[int]],
    *,
    undo: bool = False,
) -> None:
    """Store which images are kept and which are rejected beside each, and group them by it.

    With `undo` these rejections are forgotten; of an image without any, all of it is.

    Raises:
        ImageNotFound: The collection has no image with one of the ids.
        ConfigError: An image is to be rejected beside itself.
    """
    for id, others in choices.items():
        if id in others:
            raise ConfigError(f"image {id} cannot be rejected beside itself")
    with connection.transaction():
        ids = sorted({id for kept, others in choices.items() for id in (kept, *others)})
        found = duplicate_groups.contents(connection, collection, ids)
        content = dict(zip(ids, found, strict=True))
        chosen = defaultdict[bytes, list[bytes]](list)
        for id, others in choices.items():
            chosen[content[id]] += [content[one] for one in others]
        (duplicate_review.forget if undo else duplicate_review.keep)(connection, chosen)
        _apply(connection, collection, {*found})


def _apply(connection: Connection, collection: Collection, contents: set[bytes]) -> None:
    """Group again by what was decided about contents; other collections follow later."""
    duplicates.note_elsewhere(connection, collection, [*contents])
    for space in spaces.searched(connection, collection):
        if search := duplicates.lock(connection, space):
            touched = grouping.around(connection, space, contents)
            grouping.group(connection, space, search, touched)


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


def _batches(connection: Connection, space: Space) -> Iterator[int]:
    """Compare what is due, then group it, a batch a transaction; yield after each."""
    yield from _compared(connection, space)
    yield from _grouped(connection, space)


def _compared(connection: Connection, space: Space, *, is_strict: bool = False) -> Iterator[int]:
    """Compare what is due, a batch a transaction; yield the number of contents of each.

    Raises:
        InvalidValue: Half of the first batch have too many neighbours, and `is_strict`.
    """
    until: int | None = 0
    n_batches = 0
    # What is noted after contents were loaded is compared the way that is chosen then.
    while until is not None:
        way = pairing.chosen(connection, space)
        until = way.until
        try:
            while n := _compare(connection, space, way, is_strict=is_strict):
                yield n
                is_strict, n_batches = False, n_batches + 1
                _analyze(connection, n_batches, is_full=n == way.batch)
        finally:
            way.tell()


def _grouped(connection: Connection, space: Space) -> Iterator[int]:
    """Group what was compared, a batch a transaction; yield the number of contents of each."""
    n_batches = 0
    while n := _group(connection, space):
        yield n
        n_batches += 1
        _analyze(connection, n_batches, is_full=n == grouping.STEP)


def _analyze(connection: Connection, n_batches: int, *, is_full: bool) -> None:
    """Keep the planner from taking tables for empty that have grown: after 1, 2, 4, ... batches."""
    if is_full and n_batches & (n_batches - 1) == 0:
        duplicate_members.analyze(connection)


def _compare(connection: Connection, space: Space, way: Neighbours, *, is_strict: bool) -> int:
    """Compare some contents that are due; return how many."""
    with connection.transaction():
        search = duplicates.lock(connection, space)
        if search is None:
            return 0
        contents, reordered = duplicates.take(connection, space, way.batch, way.until)
        touched = duplicate_pairs.forget(connection, space, contents, search.distance)
        if contents and search.distance is not None:
            way.compare(contents, search.distance, is_strict=is_strict)
        touched |= grouping.around(connection, space, [*contents, *reordered])
        duplicate_members.note(connection, space, touched)
        return len(contents) + len(reordered)


def _group(connection: Connection, space: Space) -> int:
    """Group some contents that were compared; return how many."""
    with connection.transaction():
        search = duplicates.lock(connection, space)
        return grouping.step(connection, space, search) if search else 0
