"""The index of an embedding table: built after the load, rebuilt, described."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from spocdb.db import building, curves, kinds, recalls
from spocdb.db.collections import Collection, check_partitions, hold
from spocdb.db.connections import Connection
from spocdb.db.curves import Curve
from spocdb.db.embeddings import analyze, table_of
from spocdb.db.kinds import Kind
from spocdb.db.leftovers import drop_left_indexes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One embedding table and its index.

    `n_rows` is about how many rows it has, as of its last ANALYZE or VACUUM; 0 before the first.
    `kind` is None until it is chosen, `recall` until it is measured. `index_type` is the type that
    the view shows. `bytes` are of the indexes of all `partitions` together.
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
    partitions: int


STATUS = """
SELECT c.name AS collection, t.projection_id AS projection,
       t.projection_id = c.active_projection_id AS active,
       spocdb.estimated_rows(r.relname) AS n_rows, t.index_type, t.kind,
       x.relname AS index, t.recall, t.recall_settings, c.partitions,
       pg_relation_size(x.oid) + (
           SELECT coalesce(sum(pg_relation_size(i.inhrelid)), 0)::bigint
           FROM pg_inherits i WHERE i.inhparent = x.oid) AS bytes
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

TABLES = """
SELECT spocdb.embedding_table(collection_id, projection_id) FROM spocdb.embedding_tables
WHERE collection_id = %s ORDER BY projection_id
"""

COPY = "SELECT spocdb.copy_embeddings(%s, %s)"
REPARTITION = "SELECT spocdb.repartition(%s, %s)"

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
    connect: Callable[[], Connection] | None = None,
) -> float | None:
    """Build or rebuild the index of an embedding table without blocking searches.

    Without a `kind` the index keeps its own; the first one is chosen by `kinds.choose`. A kind that
    loses much is measured before it takes the place of another. `connect` opens further
    connections: with it several parts of a partitioned table are built at once.

    Returns the recall@10 if it was measured.

    Raises:
        ConfigError: the embeddings cannot have the kind, or its recall is less than is wanted.
    """
    table, _ = table_of(connection, collection, projection_id)
    if kind is not None:
        kinds.check(connection, collection, projection_id, kind)
    drop_left_indexes(connection)
    with building.alone(connection, table):
        before, _ = kinds.stored(connection, collection, projection_id)
        # A database may come from a server that had more kinds.
        kept = before if before in kinds.offered(connection) else None
        first = kind or kept or kinds.choose(connection, collection, projection_id)
        try:
            return _build(connection, connect, collection, projection_id, first)
        except kinds.TooFewFound as exc:
            if kind is not None:
                raise exc.refusal(collection, before) from None
            # A new projection, for which the kind of the last one does not do.
            second = kinds.choose(connection, collection, projection_id)
            log.warning("%s: %s, so its index is %s", collection.name, exc, second)
            return _build(connection, connect, collection, projection_id, second)


def repartition(connection: Connection, collection: Collection, partitions: int) -> None:
    """Move a collection's embeddings into this many tables, when no index of them is being built.

    They have no index afterwards. Searches and writers go on while they are copied, and wait while
    the copy takes their place.

    Raises:
        InvalidValue: the number is out of range.
    """
    check_partitions(None, partitions)
    if partitions == collection.partitions:
        return
    tables = [name for (name,) in connection.execute(TABLES, [collection.id]).fetchall()]
    parts = [part for table in tables for part in building.parts_of(connection, table)]
    with ExitStack() as stack:
        # In the order of a build: a table before its parts.
        for table in [*tables, *(part for part in parts if part not in tables)]:
            stack.enter_context(building.alone(connection, table))
        # In two transactions, so that searches which wait in the second one see the copy.
        for statement in (COPY, REPARTITION):
            connection.execute(statement, [collection.id, partitions])


def divide(
    connection: Connection,
    collection: Collection,
    partitions: int,
    connect: Callable[[], Connection] | None = None,
) -> None:
    """Move the embeddings of a collection that is new into this many tables, with their indexes.

    Raises:
        InvalidValue: the number is out of range.
    """
    if partitions == collection.partitions:
        return
    repartition(connection, collection, partitions)
    build(connection, collection, collection.active_projection_id, connect=connect)


def _build(
    connection: Connection,
    connect: Callable[[], Connection] | None,
    collection: Collection,
    projection_id: int,
    kind: Kind,
) -> float | None:
    table, column = table_of(connection, collection, projection_id)
    parts = building.parts_of(connection, table)
    analyze(connection, collection, projection_id)
    building.create(connection, connect, parts, kinds.dim_of(column), kind)
    try:
        curve = _checked(connection, collection, projection_id, kind)
        with connection.transaction():
            return _put_in_place(connection, collection, projection_id, parts, kind, curve)
    except BaseException:
        building.drop_new(connection, parts)
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
    curve = curves.curve(connection, collection, projection_id, kind)
    wanted = recalls.wanted(connection, collection)
    if curve is not None and curve.best < wanted:
        raise kinds.TooFewFound(kind, curve.best, wanted)
    return curve


def _put_in_place(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    parts: Sequence[str],
    kind: Kind,
    curve: Curve | None,
) -> float | None:
    table, column = table_of(connection, collection, projection_id)
    hold(connection, collection)
    values = {"kind": kind, "collection": collection.id, "projection": projection_id}
    connection.execute(SET_KIND, values)
    recalls.forget(connection, collection, projection_id)
    recall = None
    if curve is not None:
        recall = recalls.store(connection, collection, projection_id, curve)
    # Locks the view before the table, as a search does; the other order could deadlock.
    connection.execute(REFRESH_VIEW, [collection.id, projection_id])
    building.put_in_place(connection, table, parts, kinds.dim_of(column), kind)
    return recall


def exists(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether the embedding table has its index."""
    return any(
        s.index and s.projection == projection_id for s in status(connection, collection.name)
    )
