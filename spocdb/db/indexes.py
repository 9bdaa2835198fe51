"""The HNSW index of an embedding table: built after the load, rebuilt, described."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as SqlLiteral

from spocdb.db import recalls, sessions
from spocdb.db.collections import Collection, hold
from spocdb.db.connections import Connection, one_row
from spocdb.db.embeddings import analyze, table_of
from spocdb.db.leftovers import build_lock, drop_index, drop_left_indexes

IndexType = Literal["vector", "halfvec"]

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
    """One embedding table and its index; `recall` is None until it is measured."""

    collection: str
    projection: int
    active: bool
    n_rows: int
    index: str | None
    index_type: str
    bytes: int | None
    recall: float | None
    recall_settings: dict[str, Any] | None


STATUS = """
SELECT c.name AS collection, t.projection_id AS projection,
       t.projection_id = c.active_projection_id AS active,
       greatest(r.reltuples, 0)::bigint AS n_rows, t.index_type,
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

SET_INDEX_TYPE = """
UPDATE spocdb.embedding_tables SET index_type = %s WHERE collection_id = %s AND projection_id = %s
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
    index_type: IndexType | None = None,
) -> None:
    """Build or rebuild the HNSW index of an embedding table without blocking searches.

    `index_type` halfvec halves the index; None leaves the type as it is.
    """
    table, column = table_of(connection, collection, projection_id)
    dim = int(column.partition("(")[2].rstrip(")"))
    new = f"{table}_hnsw_new"
    drop_left_indexes(connection)
    with _alone(connection, table):
        kind = _index_type(connection, collection, projection_id, index_type)
        analyze(connection, collection, projection_id)
        # An interrupted build may have left an invalid index.
        connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(new)))
        memory = build_memory(connection, table, dim)
        with sessions.raised(connection, maintenance_work_mem=memory):
            _create(connection, table, new, kind, dim)
        with connection.transaction():
            _put_in_place(connection, collection, projection_id, table, kind)


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
    connection: Connection, collection: Collection, projection_id: int, table: str, kind: IndexType
) -> None:
    name, new = Identifier(f"{table}_hnsw"), Identifier(f"{table}_hnsw_new")
    hold(connection, collection)
    connection.execute(SET_INDEX_TYPE, [kind, collection.id, projection_id])
    recalls.forget(connection, collection, projection_id)
    # Locks the view before the table, as a search does; the other order could deadlock.
    connection.execute(REFRESH_VIEW, [collection.id, projection_id])
    connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(name))
    connection.execute(SQL("ALTER INDEX spocdb.{} RENAME TO {}").format(new, name))


def exists(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether the embedding table has its index."""
    return any(
        s.index and s.projection == projection_id for s in status(connection, collection.name)
    )


def _index_type(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    wanted: IndexType | None,
) -> IndexType:
    column_type, index_type = one_row(
        connection,
        "SELECT column_type, index_type FROM spocdb.embedding_tables "
        "WHERE collection_id = %s AND projection_id = %s",
        [collection.id, projection_id],
    )
    # A halfvec column holds no more than half precision: a vector index would only be larger.
    result: IndexType = "halfvec" if column_type == "halfvec" else wanted or index_type
    return result


def build_memory(connection: Connection, table: str, dim: int) -> str:
    """Return the maintenance_work_mem that fits a table's graph, at least the current setting."""
    (n_rows,) = one_row(
        connection,
        "SELECT greatest(reltuples, 1) FROM pg_class "
        "WHERE oid = format('spocdb.%%I', %s::text)::regclass",
        [table],
    )
    # An element is its vector and about 2 m links of 16 bytes with their overhead.
    needed = int(n_rows * (4 * dim + 2 * M * 24 + 200) * 1.2) + 64 * 1024**2
    (current,) = one_row(
        connection, "SELECT pg_size_bytes(current_setting('maintenance_work_mem'))"
    )
    kilobytes = max(current, min(needed, MOST_BUILD_MEMORY)) // 1024
    return f"{kilobytes}kB"


def _create(connection: Connection, table: str, name: str, kind: IndexType, dim: int) -> None:
    statement = SQL(
        "CREATE INDEX CONCURRENTLY {name} ON spocdb.{table} "
        "USING hnsw ((embedding::{kind}({dim})) {operators}) "
        "WITH (m = {m}, ef_construction = {ef})"
    ).format(
        name=Identifier(name),
        table=Identifier(table),
        kind=SQL(kind),
        dim=SqlLiteral(dim),
        operators=SQL(f"{kind}_ip_ops"),
        m=SqlLiteral(M),
        ef=SqlLiteral(EF_CONSTRUCTION),
    )
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
