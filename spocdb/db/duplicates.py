"""Near-duplicates: how they are searched for, what is to be compared, and the groups of images.

A content is what images of the same bytes have in common, named by its sha256.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.keepers import Term
from spocdb.stars import Member


@dataclass(frozen=True, slots=True)
class DuplicateSearch:
    """How the duplicates of a collection are found.

    Contents up to `distance` from each other are a pair; None: only images of the same bytes are
    duplicates. `keep` is the keeper rule.
    """

    distance: float | None
    keep: str


LOCK = """
SELECT distance, keep FROM spocdb.duplicate_searches
WHERE collection_id = %s AND projection_id = %s FOR UPDATE
"""

PUT = """
INSERT INTO spocdb.duplicate_searches (collection_id, projection_id, distance, keep)
VALUES (%s, %s, %s, %s)
ON CONFLICT (collection_id, projection_id) DO UPDATE
SET distance = excluded.distance, keep = excluded.keep
"""

# Those of the collection's extractor: images have no embeddings by others, until one is active
# again. Until then their changes wait.
SEARCHES = """
SELECT s.projection_id FROM spocdb.duplicate_searches s
JOIN spocdb.projections p ON p.id = s.projection_id
JOIN spocdb.collections c ON c.id = s.collection_id AND c.extractor_id = p.extractor_id
WHERE s.collection_id = %s ORDER BY 1
"""

# Also what waits for searches that were dropped.
FORGET_CHANGES = """
DELETE FROM spocdb.duplicate_changes c
WHERE (c.collection_id = %s AND c.projection_id = %s) OR NOT EXISTS (
    SELECT FROM spocdb.duplicate_searches s
    WHERE s.collection_id = c.collection_id AND s.projection_id = c.projection_id)
"""

NOTE_ALL = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT DISTINCT collection_id, %s::bigint, sha256 FROM spocdb.images WHERE collection_id = %s
"""

# A transaction that deleted them may have begun before the search, when nothing was noted.
NOTE_GONE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT DISTINCT m.collection_id, m.projection_id, m.sha256 FROM spocdb.duplicate_members m
WHERE m.collection_id = %s AND m.projection_id = %s AND (
    NOT EXISTS (SELECT FROM spocdb.images i WHERE i.id = m.image_id AND i.sha256 = m.sha256)
    OR NOT EXISTS (SELECT FROM spocdb.images k WHERE k.id = m.keeper_id))
"""

NOTE_ELSEWHERE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT s.collection_id, s.projection_id, c.sha256
FROM spocdb.duplicate_searches s, unnest(%s::bytea[]) c (sha256)
WHERE s.collection_id <> %s AND EXISTS (
    SELECT FROM spocdb.images i WHERE i.collection_id = s.collection_id AND i.sha256 = c.sha256)
"""

TAKE = """
DELETE FROM spocdb.duplicate_changes WHERE id IN (
    SELECT id FROM spocdb.duplicate_changes
    WHERE collection_id = %s AND projection_id = %s ORDER BY id LIMIT %s
) RETURNING sha256
"""

N_DUE = """
SELECT count(DISTINCT sha256) FROM spocdb.duplicate_changes
WHERE collection_id = %s AND projection_id = %s
"""

IS_DUE = """
SELECT EXISTS (SELECT FROM spocdb.duplicate_changes WHERE collection_id = %s AND projection_id = %s)
"""

IN_ORDER = """
SELECT i.id, i.sha256 FROM spocdb.images i
WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
ORDER BY {rule} i.path COLLATE "C"
"""

FORGET_MEMBERS = """
DELETE FROM spocdb.duplicate_members
WHERE collection_id = %s AND projection_id = %s AND sha256 = ANY (%s)
"""

ADD_MEMBERS = """
INSERT INTO spocdb.duplicate_members
    (collection_id, projection_id, image_id, keeper_id, sha256, distance)
SELECT %s, %s, n.*
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::double precision[])
     n (image_id, keeper_id, sha256, distance)
ON CONFLICT (collection_id, projection_id, image_id) DO UPDATE
SET keeper_id = excluded.keeper_id, sha256 = excluded.sha256, distance = excluded.distance
"""

# By each kind of term: what comes first is larger.
LARGER = {
    "pixels": SQL("i.width::bigint * i.height"),
    "bytes": SQL("i.size"),
    "newest": SQL("i.ingested_at"),
    "oldest": SQL("- extract(epoch FROM i.ingested_at)"),
    "folder": SQL("starts_with(i.path, rtrim({value}, '/') || '/')"),
    "suffix": SQL("right(lower(i.path), 1 + length({value})) = lower('.' || {value})"),
    "key": SQL("i.metadata -> {value}"),
}


def lock(connection: Connection, collection: Collection, projection: int) -> DuplicateSearch | None:
    """Return a search and hold it for this transaction; None if there is none."""
    row = connection.execute(LOCK, [collection.id, projection]).fetchone()
    return DuplicateSearch(*row) if row else None


def begin(
    connection: Connection, collection: Collection, projection: int, search: DuplicateSearch
) -> None:
    """Store how to search; all contents have to be compared, or compared again."""
    connection.execute(PUT, [collection.id, projection, search.distance, search.keep])
    connection.execute(FORGET_CHANGES, [collection.id, projection])
    connection.execute(NOTE_ALL, [projection, collection.id])


def searches(connection: Connection, collection: Collection) -> list[int]:
    """List the projections of the collection's extractor by which duplicates are found."""
    return [number for (number,) in connection.execute(SEARCHES, [collection.id])]


def note_gone(connection: Connection, collection: Collection, projection: int) -> None:
    """Note the contents of groups whose images are gone, or have other bytes."""
    connection.execute(NOTE_GONE, [collection.id, projection])


def note_elsewhere(
    connection: Connection, collection: Collection, contents: Sequence[bytes]
) -> None:
    """Note contents to be compared again in every other collection that has them."""
    connection.execute(NOTE_ELSEWHERE, [list(contents), collection.id])


def n_due(connection: Connection, collection: Collection, projection: int) -> int:
    """Return how many contents have to be compared."""
    return int(one_row(connection, N_DUE, [collection.id, projection])[0])


def is_due(connection: Connection, collection: Collection, projection: int) -> bool:
    """Tell whether a content has to be compared; nothing is locked."""
    return bool(one_row(connection, IS_DUE, [collection.id, projection])[0])


def take(connection: Connection, collection: Collection, projection: int, n: int) -> list[bytes]:
    """Take up to n changes; return their contents. If this is rolled back they are due again."""
    rows = connection.execute(TAKE, [collection.id, projection, n])
    return sorted({sha256 for (sha256,) in rows})


def in_order(
    connection: Connection, collection: Collection, contents: list[bytes], rule: Sequence[Term]
) -> list[tuple[int, bytes]]:
    """Return the images of contents, with these, in the order of a keeper rule."""
    statement = SQL(IN_ORDER).format(
        collection=Literal(collection.id), contents=Literal(contents), rule=_ordered(rule)
    )
    return connection.execute(statement).fetchall()


def _ordered(rule: Sequence[Term]) -> Composable:
    directions = {False: SQL(" DESC NULLS LAST, "), True: SQL(" ASC NULLS LAST, ")}
    return SQL("").join(
        LARGER[term.kind].format(value=Literal(term.value)) + directions[term.is_reversed]
        for term in rule
    )


def regroup(
    connection: Connection,
    collection: Collection,
    projection: int,
    contents: list[bytes],
    members: Iterable[Member],
) -> None:
    """Replace the groups that images of contents are in; `members` are images of these."""
    connection.execute(FORGET_MEMBERS, [collection.id, projection, contents])
    rows = [(one.image, one.keeper, one.content, one.distance) for one in members]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    connection.execute(ADD_MEMBERS, [collection.id, projection, *columns])
