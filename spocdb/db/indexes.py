"""The index of an embedding table: built after the load, rebuilt, described."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier, Literal

from spocdb.db import kinds, recalls, sessions
from spocdb.db.collections import Collection, hold
from spocdb.db.connections import Connection, one_row
from spocdb.db.embeddings import analyze, table_of
from spocdb.db.kinds import Kind
from spocdb.db.leftovers import build_lock, drop_index, drop_left_indexes
from spocdb.db.recalls import Curve

log = logging.getLogger(__name__)

# Chosen on 107,000 real whitened embeddings with queries that are not among them: recall@10 at
# pgvector's default ef_search of 40 is 0.99, against 0.976 with its own defaults (16, 64).
M = 24
EF_CONSTRUCTION = 128
# Bound of a build's memory. A build is quick while its graph fits in memory; a larger graph
# continues on disk, slowly.
MOST_BUILD_MEMORY = 4 * 1024**3

SECONDS_BETWEEN_TRIES = 0.2


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One embedding table and its index.

    `kind` is None until it is chosen, `recall` until it is measured. `index_type` is the type that
    the view shows.
    """

    collection: str
    projection: int
    active: bool
    n_rows: int
    index: str | None
    index_type: str
    kind: str | None
    bytes: int | None
    recall: float | None
    recall_settings: dict[str, Any] | None


STATUS = """
SELECT c.name AS collection, t.projection_id AS projection,
       t.projection_id = c.active_projection_id AS active,
       greatest(r.reltuples, 0)::bigint AS n_rows, t.index_type, t.kind,
       x.relname AS index, pg_relation_size(x.oid) AS bytes, t.recall, t.recall_settings
FROM spocdb.embedding_tables t
JOIN spocdb.collections c ON c.id = t.collection_id
JOIN pg_class r ON r.oid =
    format('spocdb.%%I', spocdb.embedding_table(t.collection_id, t.projection_id))::regclass
LEFT JOIN (pg_class x JOIN pg_index v ON v.indexrelid = x.oid AND v.indisvalid)
    ON v.indrelid = r.oid AND x.relname = r.relname || '_hnsw'
WHERE %(collection)s::text IS NULL OR c.name = %(collection)s
ORDER BY c.name, t.projection_id
"""

SET_KIND = """
UPDATE spocdb.embedding_tables
SET kind = %(kind)s,
    index_type = CASE %(kind)s WHEN 'hnsw-halfvec' THEN 'halfvec' ELSE column_type END
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

# Checks the active projection in the database, because it may have changed during the build.
REFRESH_VIEW = """
SELECT spocdb.refresh_view(id) FROM spocdb.collections WHERE id = %s AND active_projection_id = %s
"""


def status(connection: Connection, collection: str | None = None) -> list[IndexStatus]:
    """List the embedding tables of one collection, or of all, with their indexes."""
    with connection.cursor(row_factory=class_row(IndexStatus)) as cursor:
        return cursor.execute(STATUS, {"collection": collection}).fetchall()


def build(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    kind: Kind | None = None,
) -> float | None:
    """Build or rebuild the index of an embedding table without blocking searches.

    Without a `kind` the index keeps its own; the first one is chosen by `kinds.choose`. A kind that
    loses much is measured before it takes the place of another.

    Returns the recall@10 if it was measured.

    Raises:
        ConfigError: the embeddings cannot have the kind, or its recall is less than is wanted.
    """
    table, _ = table_of(connection, collection, projection_id)
    if kind is not None:
        kinds.check(connection, collection, projection_id, kind)
    drop_left_indexes(connection)
    with _alone(connection, table):
        before, _ = kinds.stored(connection, collection, projection_id)
        # A database may come from a server that had more kinds.
        kept = before if before in kinds.offered(connection) else None
        first = kind or kept or kinds.choose(connection, collection, projection_id)
        try:
            return _build(connection, collection, projection_id, table, first)
        except kinds.TooFewFound as exc:
            if kind is not None:
                raise exc.refusal(collection, before) from None
            # A new projection, for which the kind of the last one does not do.
            second = kinds.choose(connection, collection, projection_id)
            log.warning("%s: %s, so its index is %s", collection.name, exc, second)
            return _build(connection, collection, projection_id, table, second)


def _build(
    connection: Connection, collection: Collection, projection_id: int, table: str, kind: Kind
) -> float | None:
    _, column = table_of(connection, collection, projection_id)
    new = f"{table}_hnsw_new"
    analyze(connection, collection, projection_id)
    # An interrupted build may have left an invalid index.
    connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(new)))
    dim = kinds.dim_of(column)
    memory = build_memory(connection, table, dim, kind)
    with sessions.raised(connection, maintenance_work_mem=memory):
        _create(connection, table, new, kind, dim)
    try:
        curve = _checked(connection, collection, projection_id, kind)
        with connection.transaction():
            return _put_in_place(connection, collection, projection_id, table, kind, curve)
    except BaseException:
        with suppress(psycopg.Error):
            drop_index(connection, new)
        raise


def _checked(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind
) -> Curve | None:
    """Measure a new index of a kind that loses much, before it is used."""
    before, _ = kinds.stored(connection, collection, projection_id)
    # Of two indexes of one kind it is not known which one the server would take.
    is_same = before == kind and exists(connection, collection, projection_id)
    if kind not in kinds.LOSSY or is_same:
        return None
    curve = recalls.curve(connection, collection, projection_id, kind)
    wanted = recalls.wanted(connection, collection)
    if curve is not None and curve.best < wanted:
        raise kinds.TooFewFound(kind, curve.best, wanted)
    return curve


@contextmanager
def _alone(connection: Connection, table: str) -> Iterator[None]:
    """Hold the table's advisory lock, so that no other session builds its index meanwhile."""
    key = [build_lock(table)]
    # Polls instead of waiting in pg_advisory_lock: a waiting session holds a snapshot, and the
    # other session's CREATE INDEX CONCURRENTLY waits for snapshots, which is a deadlock.
    while not one_row(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)[0]:
        time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        yield
    finally:
        # A lost connection holds no lock, and its own error is the one to raise.
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def _put_in_place(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    table: str,
    kind: Kind,
    curve: Curve | None,
) -> float | None:
    name, new = Identifier(f"{table}_hnsw"), Identifier(f"{table}_hnsw_new")
    hold(connection, collection)
    values = {"kind": kind, "collection": collection.id, "projection": projection_id}
    connection.execute(SET_KIND, values)
    recalls.forget(connection, collection, projection_id)
    recall = None
    if curve is not None:
        recall = recalls.store(connection, collection, projection_id, curve)
    # Locks the view before the table, as a search does; the other order could deadlock.
    connection.execute(REFRESH_VIEW, [collection.id, projection_id])
    connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(name))
    connection.execute(SQL("ALTER INDEX spocdb.{} RENAME TO {}").format(new, name))
    return recall


def exists(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether the embedding table has its index."""
    return any(
        s.index and s.projection == projection_id for s in status(connection, collection.name)
    )


def build_memory(connection: Connection, table: str, dim: int, kind: Kind = "hnsw-vector") -> str:
    """Return the maintenance_work_mem that fits a table's graph, at least the current setting."""
    (n_rows,) = one_row(
        connection,
        "SELECT greatest(reltuples, 1) FROM pg_class "
        "WHERE oid = format('spocdb.%%I', %s::text)::regclass",
        [table],
    )
    # An element is what it holds and about 2 m links of 16 bytes with their overhead.
    n_bytes = dim * kinds.BITS_OF_A_NUMBER[kind] / 8
    needed = int(n_rows * (n_bytes + 2 * M * 24 + 200) * 1.2) + 64 * 1024**2
    (current,) = one_row(
        connection, "SELECT pg_size_bytes(current_setting('maintenance_work_mem'))"
    )
    kilobytes = max(current, min(needed, MOST_BUILD_MEMORY)) // 1024
    return f"{kilobytes}kB"


def _create(connection: Connection, table: str, name: str, kind: Kind, dim: int) -> None:
    statement = SQL("CREATE INDEX CONCURRENTLY {} ON spocdb.{} USING {}").format(
        Identifier(name), Identifier(table), kinds.made(connection, kind, dim)
    )
    if kind != "diskann":
        graph = SQL(" WITH (m = {}, ef_construction = {})")
        statement += graph.format(Literal(M), Literal(EF_CONSTRUCTION))
    try:
        try:
            connection.execute(statement)
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
            # Parallel workers share the graph through /dev/shm, which containers often keep small.
            connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(name)))
            with sessions.raised(connection, max_parallel_maintenance_workers="0"):
                connection.execute(statement)
    except BaseException:
        # The index is invalid. If it cannot be dropped now, the next build or activation drops it.
        with suppress(psycopg.Error):  # the build's own error is the one to raise
            drop_index(connection, name)
        raise
