"""Write a batch in one transaction with binary COPY; writing it again changes nothing.

A batch is written to every embedding table of the collection that has its extractor, so that a
projection that is being built and one that is kept for rollback stay complete. The tables of other
extractors are completed from stored descriptors when they are activated.
"""

from collections.abc import Callable

import numpy as np
import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from spocdb.db import descriptors, thumbnails
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import copy_in, pieces
from spocdb.db.items import write_each
from spocdb.db.moves import Moves
from spocdb.errors import CollectionNotFound, DatabaseError, ExtractorChanged
from spocdb.records import EXIF_ALWAYS, EXIF_KEYS, Float32Array

Project = Callable[[int, Float32Array], Float32Array]


STAGE = """
CREATE TEMP TABLE IF NOT EXISTS incoming_descriptors (
    extractor_id bigint, sha256 bytea, width integer, height integer, descriptor halfvec
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS incoming_images (
    sha256 bytea, size bigint, width integer, height integer, path text, version text,
    metadata jsonb, said jsonb
) ON COMMIT DELETE ROWS;
"""

# The columns of incoming_images; `said` is the metadata that the image's source gives.
STAGED = {
    "sha256": "sha256",
    "size": "bigint",
    "width": "integer",
    "height": "integer",
    "path": "text",
    "version": "text",
    "metadata": "jsonb",
    "said": "jsonb",
}
COPY_STAGED = "COPY incoming_images FROM STDIN (FORMAT binary)"

# Locks the collection row FOR SHARE; activating or adding an embedding table locks it FOR UPDATE.
LOCK = "SELECT spocdb.lock_collection(%s)"

EMBEDDING_TABLES = """
SELECT t.projection_id, spocdb.embedding_table(t.collection_id, t.projection_id),
       format('%%s(%%s)', t.column_type, p.dim), p.extractor_id
FROM spocdb.embedding_tables t JOIN spocdb.projections p ON p.id = t.projection_id
WHERE t.collection_id = %s ORDER BY 1
"""

# Whether no staged path is stored, by one index look-up. Batches come in the order of their paths,
# so that their range is mostly free.
ARE_NEW = """
SELECT coalesce(
    (SELECT i.path FROM spocdb.images i
     WHERE i.collection_id = %s AND i.path >= (SELECT min(path) FROM incoming_images)
     ORDER BY i.collection_id, i.path LIMIT 1)
    > (SELECT max(path) FROM incoming_images), true)
"""

INSERT_IMAGES = """
INSERT INTO spocdb.images AS i
    (collection_id, path, sha256, version, size, width, height, metadata)
SELECT %(collection)s, n.path, n.sha256, n.version, n.size, n.width, n.height, n.metadata
FROM incoming_images n ORDER BY n.path
RETURNING i.id, i.sha256, false AS replaced
"""

# A replaced image keeps its metadata, except the EXIF of its earlier bytes, and except what its
# source says of the new ones.
MERGE_IMAGES = """
INSERT INTO spocdb.images AS i
    (collection_id, path, sha256, version, size, width, height, metadata)
SELECT %(collection)s, n.path, n.sha256, n.version, n.size, d.width, d.height, n.metadata
FROM incoming_images n
JOIN spocdb.descriptors d ON d.extractor_id = %(extractor)s AND d.sha256 = n.sha256
ORDER BY n.path
ON CONFLICT (collection_id, path) DO UPDATE
SET sha256 = excluded.sha256, version = excluded.version, size = excluded.size,
    width = excluded.width, height = excluded.height, ingested_at = now(),
    metadata = CASE
        WHEN i.sha256 <> excluded.sha256 AND i.metadata ?& %(always)s
        THEN (i.metadata - %(keys)s::text[]) || excluded.metadata
        ELSE excluded.metadata || i.metadata END || CASE
        WHEN i.sha256 <> excluded.sha256
        THEN (SELECT n.said FROM incoming_images n WHERE n.path = excluded.path)
        ELSE '{}' END,
    taken_over = CASE WHEN i.sha256 <> excluded.sha256
        THEN i.taken_over - %(keys)s::text[] ELSE i.taken_over END
RETURNING i.id, i.sha256, i.xmax <> 0 AS replaced
"""

# Failures are few, so that each is looked up among the staged images.
FORGET_FAILURES = """
DELETE FROM spocdb.failures f USING incoming_images n
WHERE f.collection_id = %s AND f.path = n.path
"""

ADD_FAILURE = """
INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (collection_id, path) DO UPDATE
SET version = excluded.version, reason = excluded.reason, message = excluded.message,
    failed_at = now()
"""


def make_staging(connection: Connection) -> None:
    """Make the connection's staging tables; once, before the first batch."""
    connection.execute(STAGE)


def write(
    connection: Connection,
    collection: Collection,
    batch: Batch,
    project: Project,
    moves: Moves | None = None,
) -> list[Batch]:
    """Write one batch in one transaction; return the files that the database refused.

    If it refuses any, each file is written in its own transaction, and refused files become
    failures. `project(projection_id, raw (n, C))` returns the embeddings (n, N). With `moves`, a
    new path of stored bytes takes over the image of a path that is gone.

    Raises:
        CollectionNotFound: the collection was dropped meanwhile.
        ExtractorChanged: the collection has another extractor now.
    """
    return write_each(lambda part: write_whole(connection, collection, part, project, moves), batch)


def write_whole(
    connection: Connection,
    collection: Collection,
    batch: Batch,
    project: Project,
    moves: Moves | None = None,
) -> None:
    """Write one batch in one transaction, all or nothing.

    Raises:
        CollectionNotFound: the collection was dropped meanwhile.
        ExtractorChanged: the collection has another extractor now.
        psycopg.Error: the database refused the batch.
    """
    with connection.transaction():
        lock(connection, collection)
        descriptors.write(connection, collection.extractor_id, batch.descriptors)
        thumbnails.add(connection, batch.pictures)
        n_moved = _write_images(connection, collection, batch, project, moves)
        _write_failures(connection, collection, batch)
    if moves:
        moves.n_moved += n_moved


def lock(connection: Connection, collection: Collection) -> None:
    """Lock the collection row FOR SHARE until the transaction ends. Blocks activations.

    Raises:
        CollectionNotFound: the collection was dropped meanwhile.
        ExtractorChanged: the collection has another extractor now.
    """
    (extractor_id,) = one_row(connection, LOCK, [collection.id])
    if extractor_id is None:
        raise CollectionNotFound(f"collection {collection.name} was dropped meanwhile")
    if extractor_id != collection.extractor_id:
        raise ExtractorChanged(
            f"collection {collection.name} changed its extractor meanwhile: "
            "run the same command again"
        )


def _write_images(
    connection: Connection,
    collection: Collection,
    batch: Batch,
    project: Project,
    moves: Moves | None,
) -> int:
    if not batch.images:
        return 0
    _stage(connection, batch)
    # Only bytes that are stored already can be those of a moved image.
    known = list({sha256 for _, sha256 in batch.images if sha256 not in batch.descriptors})
    moved = moves.follow(connection, collection.id, known) if moves else set()
    rows = _merge(connection, collection, batch)
    if len(rows) != len(batch.images):
        raise DatabaseError(
            "raw descriptors were deleted meanwhile, with a detached table: "
            "run the same command again"
        )
    # Moved images have their embeddings already.
    rows = [row for row in rows if row[0] not in moved]
    if not rows:
        return len(moved)
    ids = np.array([row[0] for row in rows], np.int64)
    replaced = [row[0] for row in rows if row[2]]
    raw = descriptors.raw_of(connection, collection, batch.descriptors, [row[1] for row in rows])
    tables = connection.execute(EMBEDDING_TABLES, [collection.id])
    for projection_id, table, column, extractor_id in tables:
        # In every table, because its embeddings are those of the earlier bytes.
        if replaced:
            connection.execute(_forget(table), [replaced])
        if extractor_id == collection.extractor_id:
            fields = {"image_id": "bigint", "embedding": column}
            columns = {"image_id": ids, "embedding": project(projection_id, raw)}
            copy_in(connection, _copy_into(table), pieces(fields, columns))
    return len(moved)


def _stage(connection: Connection, batch: Batch) -> None:
    refs = [ref for ref, _ in batch.images]
    hashes = [sha256 for _, sha256 in batch.images]
    described = [batch.descriptors.get(sha256) for sha256 in hashes]
    columns = {
        "sha256": np.array(hashes, "V32"),
        "size": [ref.size or 0 for ref in refs],
        # Of stored descriptors the merge reads the pixels.
        "width": [new.width if new else 0 for new in described],
        "height": [new.height if new else 0 for new in described],
        "path": [ref.name for ref in refs],
        "version": [ref.version for ref in refs],
        "metadata": [{**batch.exif.get(h, {}), **ref.metadata} for ref, h in batch.images],
        "said": [ref.metadata for ref in refs],
    }
    copy_in(connection, COPY_STAGED, pieces(STAGED, columns))


def _merge(connection: Connection, collection: Collection, batch: Batch) -> list[TupleRow]:
    """Write the staged images; return the id and sha256 of each, and whether it replaced one."""
    values = {
        "collection": collection.id,
        "extractor": collection.extractor_id,
        "always": list(EXIF_ALWAYS),
        "keys": list(EXIF_KEYS),
    }
    are_described = all(sha256 in batch.descriptors for _, sha256 in batch.images)
    if are_described and one_row(connection, ARE_NEW, [collection.id])[0]:
        try:
            with connection.transaction():
                # Half the work of the merge: no look-ups and no check for conflicts.
                return connection.execute(INSERT_IMAGES, values, binary=True).fetchall()
        except psycopg.errors.UniqueViolation:
            # A concurrent writer inserted one of them.
            pass
    return connection.execute(MERGE_IMAGES, values, binary=True).fetchall()


def _forget(table: str) -> Composed:
    return SQL("DELETE FROM spocdb.{} WHERE image_id = ANY(%s)").format(Identifier(table))


def _copy_into(table: str) -> Composed:
    return SQL("COPY spocdb.{} (image_id, embedding) FROM STDIN (FORMAT binary)").format(
        Identifier(table)
    )


def _write_failures(connection: Connection, collection: Collection, batch: Batch) -> None:
    if batch.images:
        connection.execute(FORGET_FAILURES, [collection.id])
    if batch.failures:
        with connection.cursor() as cursor:
            cursor.executemany(
                ADD_FAILURE,
                [
                    (collection.id, ref.name, ref.version, type(exc).__name__, str(exc))
                    for ref, exc in batch.failures
                ],
            )
