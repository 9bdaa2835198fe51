"""Read the groups of duplicates, and what was decided about them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from psycopg.rows import TupleRow, class_row

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import DuplicatesNotFound, ImageNotFound

Verdict = Literal["same", "different", "keep both"]


@dataclass(frozen=True, slots=True)
class DuplicateImage:
    """An image of a group; `distance` is from the keeper, 0 for its own and for the same bytes."""

    id: int
    path: str
    distance: float
    width: int
    height: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """A keeper, and its duplicates, nearest first."""

    keeper: DuplicateImage
    others: list[DuplicateImage]


@dataclass(frozen=True, slots=True)
class DuplicateSummary:
    """How many duplicates a collection has.

    `n_images` are in `n_groups`; the files of all but the keepers have `extra_bytes`. `n_due`
    contents have to be compared. `distance` and `keep` are as they were asked for.
    """

    collection: str
    projection: int
    distance: float | None
    keep: str
    n_groups: int
    n_images: int
    extra_bytes: int
    n_due: int

    @property
    def n_extra(self) -> int:
        """Return how many images are no keepers."""
        return self.n_images - self.n_groups


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about two contents, named by sha256 in hexadecimal digits."""

    a: str
    b: str
    verdict: Verdict
    decided_at: datetime
    decided_by: str


SUMMARY = """
WITH members AS (
    SELECT keeper_id, image_id FROM spocdb.duplicate_members
    WHERE collection_id = %(collection)s AND projection_id = %(projection)s
)
SELECT c.name AS collection, s.projection_id AS projection, s.distance, s.keep,
       (SELECT count(DISTINCT m.keeper_id) FROM members m) AS n_groups,
       (SELECT count(*) FROM members m) AS n_images,
       (SELECT coalesce(sum(i.size), 0)::bigint
        FROM members m JOIN spocdb.images i ON i.id = m.image_id
        WHERE m.image_id <> m.keeper_id) AS extra_bytes,
       (SELECT count(DISTINCT d.sha256) FROM spocdb.duplicate_changes d
        WHERE d.collection_id = s.collection_id AND d.projection_id = s.projection_id) AS n_due
FROM spocdb.duplicate_searches s JOIN spocdb.collections c ON c.id = s.collection_id
WHERE s.collection_id = %(collection)s AND s.projection_id = %(projection)s
"""

# Groups per statement, and the most in memory.
PAGE = 200

GROUPS = """
SELECT m.keeper_id, i.id, i.path, m.distance, i.width, i.height, i.size, encode(i.sha256, 'hex')
FROM spocdb.duplicate_members m JOIN spocdb.images i ON i.id = m.image_id
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s AND m.keeper_id IN (
    SELECT DISTINCT k.keeper_id FROM spocdb.duplicate_members k
    WHERE k.collection_id = %(collection)s AND k.projection_id = %(projection)s
      AND k.keeper_id > %(last)s
    ORDER BY 1 LIMIT %(page)s)
ORDER BY m.keeper_id, m.image_id <> m.keeper_id, m.distance, i.path
"""

GROUP_OF = """
SELECT m.keeper_id, i.id, i.path, m.distance, i.width, i.height, i.size, encode(i.sha256, 'hex')
FROM spocdb.duplicate_members m JOIN spocdb.images i ON i.id = m.image_id
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s AND m.keeper_id = (
    SELECT o.keeper_id FROM spocdb.duplicate_members o
    WHERE o.collection_id = %(collection)s AND o.projection_id = %(projection)s
      AND o.image_id = %(image)s)
ORDER BY m.image_id <> m.keeper_id, m.distance, i.path
"""

CONTENT = "SELECT sha256 FROM spocdb.images WHERE id = %s AND collection_id = %s"

DECIDE = """
INSERT INTO spocdb.duplicate_decisions (a, b, verdict) VALUES (%s, %s, %s)
ON CONFLICT (a, b) DO UPDATE
SET verdict = excluded.verdict, decided_at = now(), decided_by = current_user
"""

FORGET = "DELETE FROM spocdb.duplicate_decisions WHERE a = %s AND b = %s"

DECISIONS = """
SELECT encode(d.a, 'hex') AS a, encode(d.b, 'hex') AS b, d.verdict, d.decided_at, d.decided_by
FROM spocdb.duplicate_decisions d
WHERE EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = %(collection)s AND i.sha256 = d.a)
  AND EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = %(collection)s AND i.sha256 = d.b)
ORDER BY d.decided_at, d.a, d.b
"""


def summary(connection: Connection, collection: Collection) -> DuplicateSummary:
    """Count the duplicates of a collection by its active projection.

    Raises:
        DuplicatesNotFound: they were not looked for.
    """
    values = {"collection": collection.id, "projection": collection.active_projection_id}
    with connection.cursor(row_factory=class_row(DuplicateSummary)) as cursor:
        found = cursor.execute(SUMMARY, values).fetchone()
    if found is None:
        raise DuplicatesNotFound(
            f"no duplicates of collection {collection.name} were looked for by its active "
            f"projection: run `db.duplicates.find({collection.name!r})`"
        )
    return found


def groups(connection: Connection, collection: Collection, last: int) -> list[DuplicateGroup]:
    """Return the next page of groups, by their keepers' ids after `last`."""
    values = {
        "collection": collection.id,
        "projection": collection.active_projection_id,
        "last": last,
        "page": PAGE,
    }
    rows = connection.execute(GROUPS, values).fetchall()
    return [_group(group) for _, group in groupby(rows, key=lambda row: row[0])]


def group_of(connection: Connection, collection: Collection, id: int) -> DuplicateGroup | None:
    """Return the group that an image is in; None if it has no duplicates."""
    values = {
        "collection": collection.id,
        "projection": collection.active_projection_id,
        "image": id,
    }
    rows = connection.execute(GROUP_OF, values).fetchall()
    return _group(rows) if rows else None


def _group(rows: Iterable[TupleRow]) -> DuplicateGroup:
    keeper, *others = (DuplicateImage(*row[1:]) for row in rows)
    return DuplicateGroup(keeper, others)


def contents(connection: Connection, collection: Collection, ids: Sequence[int]) -> list[bytes]:
    """Return the sha256 of images of the collection.

    Raises:
        ImageNotFound: the collection has no image with one of the ids.
    """
    found = []
    for id in ids:
        row = connection.execute(CONTENT, [id, collection.id]).fetchone()
        if row is None:
            raise ImageNotFound(f"collection {collection.name} has no image {id}")
        found.append(row[0])
    return found


def decide(connection: Connection, contents: Sequence[bytes], verdict: Verdict | None) -> None:
    """Store a decision about two contents in place of an earlier one; None forgets it."""
    a, b = sorted(contents)
    if verdict is None:
        connection.execute(FORGET, [a, b])
    else:
        connection.execute(DECIDE, [a, b, verdict])


def decisions(connection: Connection, collection: Collection) -> list[Decision]:
    """List the decisions about contents that the collection has, the oldest first."""
    with connection.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(DECISIONS, {"collection": collection.id}).fetchall()
