"""Archives that were listed to their end: unchanged ones of which all is stored are not opened.

A row says how many images an archive of a version holds. It is believed only while as many images
and failures of this version are stored, and none of another one, so that nothing else has to keep
it up to date: after a kill, a deletion or a move the archive is listed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.records import EXIF_ALWAYS, Contents

NOTE = """
INSERT INTO spocdb.listed_archives (collection_id, path, version, n_images, left_out)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (collection_id, path) DO UPDATE
SET version = excluded.version, n_images = excluded.n_images, left_out = excluded.left_out
"""

HAS_ANY = "SELECT FROM spocdb.listed_archives WHERE collection_id = %s LIMIT 1"

# One scan of the images for all archives. The path of an archive is found in that of an image: an
# index of text in any collation does not find what begins with a text.
STORED = """
WITH i AS (
    SELECT substring(path FROM %(archive)s::text) AS archive, version, false AS failed,
           %(exif)s::text[] IS NULL OR metadata ?& %(exif)s::text[] AS is_done
    FROM spocdb.images WHERE collection_id = %(collection)s
    UNION ALL
    SELECT substring(path FROM %(archive)s::text), version, true, true
    FROM spocdb.failures WHERE collection_id = %(collection)s
)
SELECT a.path, a.version, a.n_images, a.left_out, count(*) FILTER (WHERE i.failed)
FROM spocdb.listed_archives a LEFT JOIN i ON i.archive = a.path
WHERE a.collection_id = %(collection)s
GROUP BY a.path, a.version, a.n_images, a.left_out
HAVING count(i.archive) = a.n_images
   AND coalesce(bool_and(i.is_done AND starts_with(i.version, a.version || ' ')), true)
"""

# Of archives that are gone, like their images.
FORGET_GONE = """
DELETE FROM spocdb.listed_archives a WHERE collection_id = %(collection)s AND n_images > 0
AND path NOT IN (
    SELECT substring(path FROM %(archive)s::text) FROM spocdb.images
    WHERE collection_id = %(collection)s AND path ~ %(archive)s)
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """An archive of which all images are stored, or failed in its version."""

    contents: Contents
    n_failed: int


def note(connection: Connection, collection: Collection, whole: Iterable[Contents]) -> None:
    """Note containers that were listed to their end; forget that they failed."""
    found = list(whole)
    if not found:
        return
    images.forget_failures(connection, collection, (one.name for one in found))
    for one in found:
        if one.version:
            values = [one.name, one.version, one.n_images, Jsonb(dict(one.left_out))]
            connection.execute(NOTE, [collection.id, *values])


def stored(
    connection: Connection, collection: Collection, archive: str, *, exif: bool
) -> dict[str, Stored]:
    """Return by name the archives of which all is stored.

    `archive` is a regular expression that finds an archive's name in that of an image. With `exif`
    all images must have metadata from EXIF.
    """
    if connection.execute(HAS_ANY, [collection.id]).fetchone() is None:
        return {}
    values = {
        "collection": collection.id,
        "archive": archive,
        "exif": list(EXIF_ALWAYS) if exif else None,
    }
    return {
        name: Stored(Contents(name, version, n_images, left_out), n_failed)
        for name, version, n_images, left_out, n_failed in connection.execute(STORED, values)
    }


def forget_gone(connection: Connection, collection: Collection, archive: str) -> None:
    """Forget the archives that no stored image is of."""
    values = {"collection": collection.id, "archive": archive}
    connection.execute(FORGET_GONE, values)
