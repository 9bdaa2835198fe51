"""Images as they are stored: count, show, delete and move them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from spocdb.db.collections import Collection, hold
from spocdb.db.connections import Connection, one_row
from spocdb.db.metadata import matches
from spocdb.errors import ConfigError, ImageNotFound
from spocdb.filters import Json

# Images deleted per transaction.
BATCH = 1000


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """All that is known about an image.

    `version` is the source's own text; `modified` is when the file changed last, None for a row of
    a table. `descriptors` names the extractors that described its bytes, `projections` the ids of
    the projections that embed it. `copies` are paths of images with the same bytes in the same
    collection. `failure` is the error of newer bytes that could not be stored. `has_thumbnail` says
    whether one is stored; `Database.thumbnail` makes a missing one.
    """

    id: int
    collection: str
    path: str
    table: str | None
    size: int
    version: str
    width: int
    height: int
    sha256: str
    metadata: dict[str, Any]
    ingested_at: datetime
    descriptors: list[str]
    projections: list[int]
    active: int
    copies: list[str]
    failure: str | None
    has_thumbnail: bool
    modified: datetime | None = None


IDS = "SELECT path, id FROM spocdb.images WHERE collection_id = %s AND path = ANY(%s)"

COUNT = "SELECT count(*) FROM spocdb.images i WHERE i.collection_id = %(collection)s AND {matches}"

SHOW = """
SELECT i.id, c.name AS collection, i.path, s.relation::text AS "table", i.size, i.version,
       i.width, i.height, encode(i.sha256, 'hex') AS sha256, i.metadata, i.ingested_at,
       coalesce(spocdb.described_by(i.id), '{}') AS descriptors,
       spocdb.embedded_by(i.id) AS projections,
       c.active_projection_id AS active,
       ARRAY(SELECT o.path FROM spocdb.images o WHERE o.sha256 = i.sha256
             AND o.collection_id = i.collection_id AND o.id <> i.id ORDER BY 1 LIMIT 100) AS copies,
       (SELECT f.reason || ': ' || f.message FROM spocdb.failures f
        WHERE f.collection_id = i.collection_id AND f.path = i.path) AS failure,
       EXISTS (SELECT FROM spocdb.thumbnails t WHERE t.sha256 = i.sha256) AS has_thumbnail
FROM spocdb.images i
JOIN spocdb.collections c ON c.id = i.collection_id
LEFT JOIN spocdb.attached(c.name) s ON true
WHERE i.id = %s
"""

UNKNOWN = """
SELECT asked.id FROM unnest(%s::bigint[]) asked (id)
WHERE NOT EXISTS (SELECT FROM spocdb.images i WHERE i.id = asked.id AND i.collection_id = %s)
ORDER BY 1
"""

MOVED = """
WITH moved AS (
    SELECT path AS old, %(new)s || substr(path, length(%(old)s) + 1) AS new
    FROM spocdb.{table}
    WHERE collection_id = %(collection)s
      AND (path = %(old)s OR starts_with(path, %(old)s || '/'))
)
"""

TAKEN = """
SELECT count(*), min(m.new), count(i.path), min(i.path)
FROM moved m LEFT JOIN spocdb.images i ON i.collection_id = %(collection)s AND i.path = m.new
"""

MOVE = """
UPDATE spocdb.{table} i SET path = m.new FROM moved m
WHERE i.collection_id = %(collection)s AND i.path = m.old
"""

# A failure stored at the new path is of an earlier file there.
FORGET = """
DELETE FROM spocdb.failures f USING moved m
WHERE f.collection_id = %(collection)s AND f.path = m.new
"""


def ids_of(connection: Connection, collection: Collection, paths: Sequence[str]) -> list[int]:
    """Return the ids of the images at some paths.

    Raises:
        ImageNotFound: the collection has no image at one of the paths.
    """
    found = at_paths(connection, collection, paths)
    if missing := [path for path in paths if path not in found]:
        raise none_of(collection, missing)
    return [found[path] for path in paths]


def at_paths(
    connection: Connection, collection: Collection, paths: Sequence[str]
) -> dict[str, int]:
    """Return the ids of the images at some paths, without paths that have none."""
    return dict(connection.execute(IDS, [collection.id, list(paths)]).fetchall())


def count(connection: Connection, collection: Collection, filter: Json) -> int:
    """Count the images that match a filter."""
    condition, values = matches(connection, filter)
    statement = SQL(COUNT).format(matches=condition)
    return int(one_row(connection, statement, values | {"collection": collection.id})[0])


def details(connection: Connection, id: int) -> ImageDetails:
    """Return all that is known about an image.

    Raises:
        ImageNotFound: there is no image with this id.
    """
    with connection.cursor(row_factory=class_row(ImageDetails)) as cursor:
        found = cursor.execute(SHOW, [id]).fetchone()
    if found is None:
        raise ImageNotFound(f"there is no image {id}: see `db.images()`")
    return found


def check_ids(connection: Connection, collection: Collection, ids: Sequence[int]) -> None:
    """Check that all ids are of images of the collection.

    Raises:
        ImageNotFound: the collection has no image with one of the ids.
    """
    if found := unknown(connection, collection, ids):
        raise none_of(collection, [*map(str, found)])


def unknown(connection: Connection, collection: Collection, ids: Sequence[int]) -> list[int]:
    """Return the ids that no image of the collection has, ascending."""
    return [id for (id,) in connection.execute(UNKNOWN, [list(ids), collection.id])]


def none_of(collection: Collection, unknown: Sequence[str]) -> ImageNotFound:
    """Return the error of ids or paths that no image has."""
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return ImageNotFound(
        f"collection {collection.name} has no image {', '.join(unknown[:5])}{more}: "
        "see `db.images()`"
    )


def delete(connection: Connection, collection: Collection, ids: Sequence[int]) -> int:
    """Delete images, `BATCH` of them per transaction; return how many were deleted."""
    statement = "SELECT spocdb.delete_images(%s, %s)"
    pages = (list(ids[at : at + BATCH]) for at in range(0, len(ids), BATCH))
    return sum(one_row(connection, statement, [collection.name, page])[0] for page in pages)


def move(
    connection: Connection, collection: Collection, old: str, new: str, *, dry_run: bool
) -> int:
    """Change the path of the images at a path, or below it; return how many there are.

    Runs in one transaction that locks the collection row, so that no batch is written meanwhile.

    Raises:
        ConfigError: an image has one of the new paths already.
    """
    values = {"collection": collection.id, "old": old, "new": new}
    with connection.transaction():
        hold(connection, collection)
        n_images, _, n_taken, taken = _moved(connection, "images", TAKEN, values).fetchone()
        if n_taken:
            raise ConfigError(
                f"nothing moved: {n_taken} of {n_images} images would take the place of others, "
                f"such as {taken}: delete those first, with `db.delete(...)`"
            )
        if n_images and not dry_run:
            _moved(connection, "images", MOVE, values)
            _moved(connection, "failures", FORGET, values)
            _moved(connection, "failures", MOVE, values)
    return int(n_images)


def _moved(connection: Connection, table: str, statement: str, values: dict[str, Any]) -> Any:
    whole = SQL(MOVED + statement).format(table=Identifier(table))
    return connection.execute(whole, values)
