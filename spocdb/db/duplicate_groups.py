"""Read the groups of duplicates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from psycopg.rows import TupleRow, dict_row

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import DuplicatesNotFound, ImageNotFound
from spocdb.records import Level


@dataclass(frozen=True, slots=True)
class DuplicateImage:
    """An image of a group; `distance` is from the keeper, 0 for its own and for the same bytes.

    `level` is what it has in common with the keeper; None: nothing that is known.
    """

    id: int
    path: str
    distance: float
    level: Level | None
    width: int
    height: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """A keeper, and its duplicates, nearest first; `others` are the nearest of `n_others`."""

    keeper: DuplicateImage
    others: list[DuplicateImage]
    n_others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesAsked:
    """How the duplicates of a collection are found.

    `distance`, `level` and `keep` are as they were asked for; for a level, `distance` is how far
    its images may be from each other. `n_due` contents have to be compared or grouped.
    """

    collection: str
    projection: int
    distance: float | None
    level: Level | None
    keep: str
    n_due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSummary(DuplicatesAsked):
    """How many duplicates a collection has, and how they are found.

    `n_images` are in `n_groups`; the files of all but the keepers have `extra_bytes`.
    """

    n_groups: int
    n_images: int
    extra_bytes: int

    @property
    def n_extra(self) -> int:
        """Return how many images are no keepers."""
        return self.n_images - self.n_groups


SEARCH = """
SELECT c.name AS collection, s.projection_id AS projection, s.distance, s.level, s.keep
FROM spocdb.duplicate_searches s JOIN spocdb.collections c ON c.id = s.collection_id
WHERE s.collection_id = %s AND s.projection_id = %s
"""

# Contents that have to be compared, or grouped.
DUE = """(
    SELECT count(*) FROM (
        SELECT d.sha256 FROM spocdb.duplicate_changes d
        WHERE d.collection_id = %(collection)s AND d.projection_id = %(projection)s
        UNION
        SELECT u.sha256 FROM spocdb.duplicate_ungrouped u
        WHERE u.collection_id = %(collection)s AND u.projection_id = %(projection)s) due)"""

COUNT = f"""
SELECT count(DISTINCT g.keeper_id), count(*),
       coalesce(sum(i.size) FILTER (WHERE g.image_id <> g.keeper_id), 0)::bigint,
       {DUE}
FROM spocdb.duplicate_groups(%(name)s) g JOIN spocdb.images i ON i.id = g.image_id
"""

COUNT_DUE = f"SELECT {DUE}"

COUNTED = ("n_groups", "n_images", "extra_bytes", "n_due")

# Groups per statement.
PAGE = 200

GROUPS = """
SELECT keeper_id, n_others, id, path, distance, level, width, height, size, sha256
FROM (SELECT g.keeper_id, count(*) OVER (PARTITION BY g.keeper_id) - 1 AS n_others,
             row_number() OVER (PARTITION BY g.keeper_id
                                ORDER BY g.image_id <> g.keeper_id, g.distance, i.path) AS place,
             i.id, i.path, g.distance, g.level, i.width, i.height, i.size,
             encode(i.sha256, 'hex') AS sha256
      FROM spocdb.duplicate_groups(%(name)s, %(after)s, %(n)s) g
      JOIN spocdb.images i ON i.id = g.image_id) placed
WHERE place <= %(members)s::bigint OR %(members)s IS NULL
ORDER BY keeper_id, place
"""

KEEPER = """
SELECT keeper_id FROM spocdb.duplicate_members
WHERE collection_id = %s AND projection_id = %s AND image_id = %s
"""

CONTENT = "SELECT sha256 FROM spocdb.images WHERE id = %s AND collection_id = %s"


def check(connection: Connection, collection: Collection) -> dict[str, Any]:
    """Return how the duplicates of a collection are found by its active projection.

    Raises:
        DuplicatesNotFound: they were not looked for.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(SEARCH, [collection.id, collection.active_projection_id]).fetchone()
    if found is None:
        raise DuplicatesNotFound(
            f"no duplicates of collection {collection.name} were looked for by its active "
            f"projection: run `db.duplicates.find({collection.name!r})`"
        )
    return found


def asked(connection: Connection, collection: Collection) -> DuplicatesAsked:
    """Return how the duplicates of a collection are found, without counting them.

    Raises:
        DuplicatesNotFound: they were not looked for.
    """
    search = check(connection, collection)
    values = {"collection": collection.id, "projection": collection.active_projection_id}
    return DuplicatesAsked(**search, n_due=one_row(connection, COUNT_DUE, values)[0])


def summary(connection: Connection, collection: Collection) -> DuplicateSummary:
    """Count the duplicates of a collection by its active projection.

    Raises:
        DuplicatesNotFound: they were not looked for.
    """
    search = check(connection, collection)
    values = {
        "collection": collection.id,
        "projection": collection.active_projection_id,
        "name": collection.name,
    }
    counts = one_row(connection, COUNT, values)
    return DuplicateSummary(**search, **dict(zip(COUNTED, counts, strict=True)))


def groups(
    connection: Connection,
    collection: Collection,
    after: int,
    n: int = PAGE,
    members: int | None = None,
) -> list[DuplicateGroup]:
    """Return up to n groups, by their keepers' ids after `after`.

    Of each at most `members` images are returned, the keeper among them.
    """
    values = {"name": collection.name, "after": after, "n": n, "members": members}
    rows = connection.execute(GROUPS, values).fetchall()
    return [_group(group) for _, group in groupby(rows, key=lambda row: row[0])]


def group_of(
    connection: Connection, collection: Collection, id: int, members: int | None = None
) -> DuplicateGroup | None:
    """Return the group that an image is in; None if it is in none.

    At most `members` of its images are returned, the keeper among them.
    """
    values = [collection.id, collection.active_projection_id, id]
    row = connection.execute(KEEPER, values).fetchone()
    if row is None:
        return None
    found = groups(connection, collection, row[0] - 1, 1, members)
    return found[0] if found and found[0].keeper.id == row[0] else None


def _group(rows: Iterable[TupleRow]) -> DuplicateGroup:
    first, *others = rows
    return DuplicateGroup(
        DuplicateImage(*first[2:]), [DuplicateImage(*row[2:]) for row in others], n_others=first[1]
    )


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
