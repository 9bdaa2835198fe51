"""Invalid indexes of builds that were killed or filled the disk.

CREATE INDEX CONCURRENTLY runs outside a transaction. If it fails it leaves an invalid index, which
no search uses and every insert maintains. A build holds an advisory lock of its table, so such an
index of a table whose lock is free is a leftover. So is an index that a build of a partitioned
table finished for a part of it: the next build of that table uses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from spocdb.db.connections import Connection, one_row


@dataclass(frozen=True, slots=True)
class Left:
    """An index that a build left, of `part`, which is `table` itself if that has no parts.

    `is_whole` tells that it is the finished index of a part.
    """

    table: str
    part: str
    index: str
    is_whole: bool


# A build makes `..._hnsw_new` and renames it at its end. Only tables that the role owns, because it
# cannot drop the indexes of others.
LEFT = """
SELECT coalesce(p.relname, t.relname) AS "table", t.relname AS part, x.relname AS index,
       t.relispartition AND i.indisvalid AS is_whole
FROM pg_class t
LEFT JOIN pg_inherits h ON h.inhrelid = t.oid
LEFT JOIN pg_class p ON p.oid = h.inhparent
JOIN pg_index i ON i.indrelid = t.oid
JOIN pg_class x ON x.oid = i.indexrelid
WHERE t.relnamespace = to_regnamespace('spocdb') AND t.relname LIKE 'embeddings\\_%'
  AND t.relkind = 'r'
  AND (x.relname = t.relname || '_hnsw_new'
       OR x.relname = t.relname || '_hnsw' AND NOT i.indisvalid)
  AND pg_has_role(t.relowner, 'USAGE')
ORDER BY x.relname
"""

# Copies of embedding tables that a move into another number of tables did not put in place.
COPIES = """
SELECT n.relname, t.relname FROM pg_class n
JOIN pg_class t ON t.relnamespace = n.relnamespace AND n.relname = t.relname || '_new'
WHERE n.relnamespace = to_regnamespace('spocdb') AND t.relname LIKE 'embeddings\\_%'
  AND n.relkind IN ('r', 'p') AND pg_has_role(n.relowner, 'USAGE')
ORDER BY 1
"""

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"

# Timeout of a clean-up; an index that is in use is left for a later one.
PATIENCE = "SET lock_timeout = '1s'"


def build_lock(table: str) -> str:
    """Return the name of the advisory lock that a build of a table's index holds."""
    return f"spocdb.{table}"


def left_indexes(connection: Connection) -> list[Left]:
    """Return the indexes that builds left behind."""
    return [left for left in _all(connection) if _is_free(connection, left.table, left.part)]


def drop_left_indexes(connection: Connection, *, whole: bool = False) -> list[str]:
    """Drop leftover indexes that are not in use; return their names.

    Those that are finished only if `whole` is set, because the next build uses them.
    """
    dropped = []
    for left in _all(connection):
        with _locked(connection, left.table, left.part) as is_free:
            # Queried again under the lock: a build that ended meanwhile may have renamed it.
            is_left = is_free and left in _all(connection) and (whole or not left.is_whole)
            if is_left and drop_index(connection, left.index):
                dropped.append(left.index)
    return dropped


def left_copies(connection: Connection) -> list[str]:
    """Return the names of the copies that interrupted moves left."""
    rows = connection.execute(COPIES).fetchall()
    return [copy for copy, table in rows if _is_free(connection, table)]


def drop_left_copies(connection: Connection) -> list[str]:
    """Drop the copies that interrupted moves left; return their names."""
    dropped = []
    for row in connection.execute(COPIES).fetchall():
        copy, table = row
        with _locked(connection, table) as is_free:
            # Queried again under the lock: a move that ended meanwhile has put it in place.
            if is_free and row in connection.execute(COPIES).fetchall():
                connection.execute(SQL("DROP TABLE spocdb.{}").format(Identifier(copy)))
                dropped.append(copy)
    return dropped


def drop_index(connection: Connection, name: str) -> bool:
    """Drop an index without blocking searches; tell whether its lock was granted in a second."""
    (before,) = one_row(connection, "SHOW lock_timeout")
    connection.execute(PATIENCE)
    try:
        # CONCURRENTLY: a plain DROP INDEX that waits for its lock blocks every search after it.
        statement = SQL("DROP INDEX CONCURRENTLY IF EXISTS spocdb.{}")
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DiskFull):
            connection.execute(statement.format(Identifier(name)))
            return True
        return False
    finally:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [before])


def _all(connection: Connection) -> list[Left]:
    with connection.cursor(row_factory=class_row(Left)) as cursor:
        return cursor.execute(LEFT).fetchall()


def _is_free(connection: Connection, *tables: str) -> bool:
    with _locked(connection, *tables) as is_free:
        return is_free


@contextmanager
def _locked(connection: Connection, *tables: str) -> Iterator[bool]:
    """Hold the locks of builds of tables for the block; yield False if others hold one of them."""
    got: list[str] = []
    try:
        for table in tables:
            if not one_row(connection, TRY_LOCK, [build_lock(table)])[0]:
                break
            got.append(table)
        yield len(got) == len(tables)
    finally:
        for table in got:
            connection.execute(UNLOCK, [build_lock(table)])
