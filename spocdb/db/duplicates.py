"""Near-duplicates: how they are searched for, and which contents have to be compared.

A content is what images of the same bytes have in common, named by its sha256.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.spaces import Space
from spocdb.records import Level


@dataclass(frozen=True, slots=True)
class DuplicateSearch:
    """How the duplicates of a collection are found.

    Contents up to `distance` from each other are a pair; None: only images of the same bytes are
    duplicates. `keep` is the keeper rule. `level` is the level that was asked for, None for a
    distance. Pairs farther than `near` are duplicates only if their signatures differ in at most
    `bits` bits; None: all pairs are.
    """

    distance: float | None
    keep: str
    level: Level | None = None
    near: float | None = None
    bits: int | None = None


FIND = """
SELECT distance, keep, level, near, bits FROM spocdb.duplicate_searches
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

LOCK = f"{FIND} FOR UPDATE"

PUT = """
INSERT INTO spocdb.duplicate_searches
    (collection_id, projection_id, distance, keep, level, near, bits)
VALUES (%(collection)s, %(projection)s, %(distance)s, %(keep)s, %(level)s, %(near)s, %(bits)s)
ON CONFLICT (collection_id, projection_id) DO UPDATE
SET distance = excluded.distance, keep = excluded.keep, level = excluded.level,
    near = excluded.near, bits = excluded.bits
"""

# Also what waits for searches that were dropped.
FORGET_CHANGES = """
DELETE FROM spocdb.duplicate_changes c
WHERE (c.collection_id = %(collection)s AND c.projection_id = %(projection)s) OR NOT EXISTS (
    SELECT FROM spocdb.duplicate_searches s
    WHERE s.collection_id = c.collection_id AND s.projection_id = c.projection_id)
"""

NOTE_ALL = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT DISTINCT collection_id, %(projection)s::bigint, sha256 FROM spocdb.images
WHERE collection_id = %(collection)s ORDER BY sha256
"""

NOTE_COMPARED = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256, is_compared)
SELECT %(collection)s, %(projection)s, unnest(%(contents)s::bytea[]), true
"""

# A transaction that deleted them may have begun before the search, when nothing was noted.
NOTE_GONE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT DISTINCT m.collection_id, m.projection_id, m.sha256 FROM spocdb.duplicate_members m
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s AND (
    NOT EXISTS (SELECT FROM spocdb.images i WHERE i.id = m.image_id AND i.sha256 = m.sha256)
    OR NOT EXISTS (SELECT FROM spocdb.images k WHERE k.id = m.keeper_id))
"""

# Also for searches by other extractors of the collection, which wait for these to be active again.
NOTE_ELSEWHERE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT s.collection_id, s.projection_id, c.sha256
FROM spocdb.duplicate_searches s
JOIN spocdb.projections p ON p.id = s.projection_id
JOIN spocdb.collections k ON k.id = s.collection_id
CROSS JOIN unnest(%(contents)s::bytea[]) c (sha256)
WHERE (s.collection_id <> %(collection)s OR p.extractor_id <> k.extractor_id) AND EXISTS (
    SELECT FROM spocdb.images i WHERE i.collection_id = s.collection_id AND i.sha256 = c.sha256)
"""

TAKE = """
DELETE FROM spocdb.duplicate_changes WHERE id IN (
    SELECT id FROM spocdb.duplicate_changes
    WHERE collection_id = %(collection)s AND projection_id = %(projection)s
      AND (id <= %(until)s OR %(until)s IS NULL)
    ORDER BY id LIMIT %(n)s
) RETURNING sha256, is_compared
"""

N_DUE = """
SELECT count(DISTINCT sha256) FROM spocdb.duplicate_changes
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

NEWEST = """
SELECT coalesce(max(id), 0) FROM spocdb.duplicate_changes
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

IS_DUE = """
SELECT EXISTS (SELECT FROM spocdb.duplicate_changes
               WHERE collection_id = %(collection)s AND projection_id = %(projection)s)
    OR EXISTS (SELECT FROM spocdb.duplicate_ungrouped
               WHERE collection_id = %(collection)s AND projection_id = %(projection)s)
"""


def find(connection: Connection, space: Space) -> DuplicateSearch | None:
    """Return a search; None if there is none."""
    row = connection.execute(FIND, space.key).fetchone()
    return DuplicateSearch(*row) if row else None


def lock(connection: Connection, space: Space) -> DuplicateSearch | None:
    """Lock a search until the transaction ends; None if there is none.

    What follows is planned by its values. A plan for any number of contents would compare all with
    all.
    """
    connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    row = connection.execute(LOCK, space.key).fetchone()
    return DuplicateSearch(*row) if row else None


def put(connection: Connection, space: Space, search: DuplicateSearch) -> None:
    """Store how to search."""
    connection.execute(PUT, space.key | asdict(search))


def note_all(connection: Connection, space: Space) -> None:
    """Note that all contents have to be compared, or compared again."""
    connection.execute(FORGET_CHANGES, space.key)
    connection.execute(NOTE_ALL, space.key)


def note_compared(connection: Connection, space: Space, contents: Sequence[bytes]) -> None:
    """Note contents to be grouped again, without a comparison."""
    connection.execute(NOTE_COMPARED, space.key | {"contents": list(contents)})


def note_gone(connection: Connection, space: Space) -> None:
    """Note the contents of groups whose images are gone, or have other bytes."""
    connection.execute(NOTE_GONE, space.key)


def note_elsewhere(
    connection: Connection, collection: Collection, contents: Sequence[bytes]
) -> None:
    """Note contents to be compared again in every other collection that has them."""
    values = {"contents": list(contents), "collection": collection.id}
    connection.execute(NOTE_ELSEWHERE, values)


def n_due(connection: Connection, space: Space) -> int:
    """Return how many contents have to be compared."""
    return int(one_row(connection, N_DUE, space.key)[0])


def newest(connection: Connection, space: Space) -> int:
    """Return the number of the last change that waits; later ones have larger numbers."""
    return int(one_row(connection, NEWEST, space.key)[0])


def is_due(connection: Connection, space: Space) -> bool:
    """Tell whether a content has to be compared or grouped; nothing is locked."""
    return bool(one_row(connection, IS_DUE, space.key)[0])


def take(
    connection: Connection, space: Space, n: int, until: int | None = None
) -> tuple[list[bytes], list[bytes]]:
    """Take up to n changes; return the contents to compare, and those that are only to be grouped.

    Only changes up to the number `until`; None for any. If this is rolled back they are due again.
    """
    rows = connection.execute(TAKE, space.key | {"n": n, "until": until}).fetchall()
    new = {sha256 for sha256, is_compared in rows if not is_compared}
    return sorted(new), sorted({sha256 for sha256, _ in rows} - new)
