"""The images of a collection: find them, compare versions, prune them, set metadata."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from spocdb.db import attachments, thumbnails
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import ImageNotFound
from spocdb.records import EXIF_ALWAYS, EXIF_KEYS, ImageRef

# Lists of names are sent in the binary format (%b), which takes the client a fifth of the time.

# An image is unchanged if its version is the stored one, or that of its last failure. Where EXIF is
# asked for, a stored image without EXIF counts as changed.
# Each name is looked up in the indexes: OFFSET 0 keeps the planner from a merge join, which reads
# and sorts the whole collection for every few names.
UNCHANGED = """
SELECT f.path, x.failed
FROM unnest(%b::text[], %b::text[]) AS f (path, version)
CROSS JOIN LATERAL (
    SELECT false AS failed FROM spocdb.images i
    WHERE i.collection_id = %s AND i.path = f.path AND i.version = f.version
      AND (%s::text[] IS NULL OR i.metadata ?& %s::text[])
    UNION ALL
    SELECT true FROM spocdb.failures i
    WHERE i.collection_id = %s AND i.path = f.path AND i.version = f.version
    OFFSET 0
) x
"""

COUNT_CONTENTS = "SELECT count(DISTINCT sha256) FROM spocdb.images WHERE collection_id = %s"

PATH = "SELECT path FROM spocdb.images WHERE collection_id = %s AND id = %s"

FIND = "SELECT id FROM spocdb.images WHERE collection_id = %s AND path = %s"

PATHS = """
SELECT i.id, i.path FROM spocdb.images i
JOIN spocdb.collections c ON c.id = i.collection_id WHERE c.name = %s
"""

LABELS = """
SELECT path, metadata ->> %(key)s FROM spocdb.images
WHERE collection_id = %(collection)s AND metadata ->> %(key)s <> ''
"""

FILES = """
SELECT id, path FROM spocdb.images
WHERE collection_id = %s AND id > %s ORDER BY id LIMIT 1000
"""

FAILED = "SELECT path FROM spocdb.failures WHERE collection_id = %s"

FORGET_FAILURES = "DELETE FROM spocdb.failures WHERE collection_id = %s AND path = ANY(%b)"

COUNT_BELOW = """
SELECT count(*) FROM spocdb.images
WHERE collection_id = %s AND (path = %s OR starts_with(path, %s))
"""

CREATE_METADATA = """
CREATE TEMP TABLE IF NOT EXISTS incoming_metadata (path text, metadata jsonb);
TRUNCATE incoming_metadata
"""

# A hash join: an index look-up for each row would take a minute for a million rows. The result is
# stored, because the update needs rows with an image, and rows without one are counted. Of several
# rows for one path the last wins, as if they had been applied in order.
MATCH_METADATA = """
CREATE TEMP TABLE matched_metadata ON COMMIT DROP AS
SELECT DISTINCT ON (m.path) i.id, m.path, m.metadata
FROM incoming_metadata m
LEFT JOIN (SELECT id, path FROM spocdb.images WHERE collection_id = %s) i USING (path)
ORDER BY m.path, m.ctid DESC
"""

# EXIF keys of the image stay, and what it took over from duplicates, unless the row has the same
# key.
APPLY_METADATA = """
UPDATE spocdb.images i SET metadata = n.metadata
FROM (
    SELECT m.id, i.taken_over || CASE WHEN i.metadata ?& %(always)s THEN (
        SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(i.metadata) e
        WHERE e.key = ANY (%(keys)s)) ELSE '{}' END || m.metadata AS metadata
    FROM matched_metadata m JOIN spocdb.images i ON i.id = m.id
) n
WHERE i.id = n.id AND i.metadata <> n.metadata
"""

UNMATCHED_METADATA = """
SELECT count(*), min(m.path) FROM incoming_metadata m
JOIN matched_metadata x USING (path) WHERE x.id IS NULL
"""


def unchanged(
    connection: Connection,
    collection: Collection,
    refs: Sequence[ImageRef],
    *,
    exif: bool = False,
) -> tuple[set[str], set[str]]:
    """Return the names that are stored in this version, and those that failed in this version.

    With `exif` a name counts as stored only if its image has the metadata from EXIF.
    """
    rows = connection.execute(
        UNCHANGED,
        [
            [ref.name for ref in refs],
            [ref.version for ref in refs],
            collection.id,
            *(2 * [list(EXIF_ALWAYS) if exif else None]),
            collection.id,
        ],
    ).fetchall()
    stored = {path for path, failed in rows if not failed}
    return stored, {path for path, failed in rows if failed} - stored


def forget_failures(connection: Connection, collection: Collection, paths: Iterable[str]) -> None:
    """Delete the stored failures of some paths."""
    connection.execute(FORGET_FAILURES, [collection.id, list(paths)])


def count_contents(connection: Connection, collection: Collection) -> int:
    """Count the collection's distinct images, the samples of a PCA: its contents."""
    return int(one_row(connection, COUNT_CONTENTS, [collection.id])[0])


def path(connection: Connection, collection: Collection, id: int) -> str:
    """Return the path of an image.

    Raises:
        ImageNotFound: the collection has no image with this id.
    """
    row = connection.execute(PATH, [collection.id, id]).fetchone()
    if row is None:
        raise ImageNotFound(f"collection {collection.name} has no image {id}")
    return str(row[0])


def find(connection: Connection, collection: Collection, path: str) -> int:
    """Return the id of the image with this path, or with this key of its row.

    Raises:
        ImageNotFound: the collection has no such image.
    """
    row = connection.execute(FIND, [collection.id, path]).fetchone()
    if row is None and attachments.find(connection, collection):
        raise ImageNotFound(
            f"collection {collection.name} has no image of row {path}: see `db.tables.coverage()`"
        )
    if row is None:
        raise ImageNotFound(
            f"collection {collection.name} is of files, not of the rows of a table, and has no "
            f"image {path!r}: see `db.images()`"
        )
    return int(row[0])


def paths(connection: Connection, collection: str) -> dict[int, str]:
    """Return the paths of a collection's images by their ids."""
    return dict(connection.execute(PATHS, [collection]).fetchall())


def labels(connection: Connection, collection: Collection, key: str) -> dict[str, str]:
    """Return the values of a metadata key by path, without images where it is missing or empty."""
    rows = connection.execute(LABELS, {"collection": collection.id, "key": key})
    return dict(rows.fetchall())


def count_below(connection: Connection, collection: Collection, root: str) -> int:
    """Count the images of a folder and its subfolders, or of a file."""
    values = [collection.id, root, os.path.join(root, "")]
    return int(one_row(connection, COUNT_BELOW, values)[0])


def prune(
    connection: Connection,
    collection: Collection,
    is_gone: Callable[[str], bool],
    *,
    dry_run: bool = False,
) -> int:
    """Delete the images and failures whose path `is_gone`; return how many images.

    Reads and deletes a thousand images at a time, then thumbnails that are left without an image.
    """
    n_deleted, last = 0, 0
    while rows := connection.execute(FILES, [collection.id, last]).fetchall():
        last = rows[-1][0]
        gone = [id_ for id_, path in rows if is_gone(path)]
        if not dry_run:
            connection.execute("DELETE FROM spocdb.images WHERE id = ANY(%s)", [gone])
        n_deleted += len(gone)
    if dry_run:
        return n_deleted
    thumbnails.delete_left(connection)
    failed = [row[0] for row in connection.execute(FAILED, [collection.id])]
    forget_failures(connection, collection, filter(is_gone, failed))
    return n_deleted


def stage_metadata(connection: Connection, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Load (path, metadata) rows into the session's staging table, all or nothing."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(CREATE_METADATA)
        with cursor.copy("COPY incoming_metadata FROM STDIN") as copy:
            for path, metadata in rows:
                copy.write_row((path, encode(metadata)))
        # Without statistics the planner might look up each row.
        cursor.execute("ANALYZE incoming_metadata")


def count_staged(connection: Connection) -> int:
    """Count the rows of the session's staging table."""
    return int(one_row(connection, "SELECT count(*) FROM incoming_metadata")[0])


def apply_metadata(connection: Connection, collection: Collection) -> tuple[int, int, str | None]:
    """Give the images the staged metadata.

    Returns how many images changed, how many rows match no image, and the path of one such row.
    """
    exif = {"always": list(EXIF_ALWAYS), "keys": list(EXIF_KEYS)}
    with connection.transaction():
        connection.execute(MATCH_METADATA, [collection.id])
        n_changed = connection.execute(APPLY_METADATA, exif).rowcount
        n_unmatched, example = one_row(connection, UNMATCHED_METADATA)
    return n_changed, n_unmatched, example
