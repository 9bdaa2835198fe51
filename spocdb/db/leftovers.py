"""Invalid indexes of builds that were killed or filled the disk.

CREATE INDEX CONCURRENTLY runs outside a transaction. If it fails it leaves an invalid index, which
no search uses and every insert maintains. A build holds an advisory lock of its table, so such an
index of a table whose lock is free is a leftover.
"""

from contextlib import suppress

import psycopg
from psycopg.sql import SQL, Identifier

from spocdb.db.connections import Connection, one_row

# A build makes `..._hnsw_new` and renames it at its end. Only tables that the role owns, because it
# cannot drop the indexes of others.
LEFT = """
SELECT t.relname, x.relname
FROM pg_class t
JOIN pg_index i ON i.indrelid = t.oid
JOIN pg_class x ON x.oid = i.indexrelid
WHERE t.relnamespace = to_regnamespace('spocdb') AND t.relname LIKE 'embeddings\\_%'
  AND (x.relname = t.relname || '_hnsw_new'
       OR x.relname = t.relname || '_hnsw' AND NOT i.indisvalid)
  AND pg_has_role(t.relowner, 'USAGE')
ORDER BY 2
"""

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"

# Timeout of a clean-up; an index that is in use is left for a later one.
PATIENCE = "SET lock_timeout = '1s'"


def build_lock(table: str) -> str:
    """Return the name of the advisory lock that a build of a table's index holds."""
    return f"spocdb.{table}"


def left_indexes(connection: Connection) -> list[tuple[str, str]]:
    """Return the table and the name of each index that a build left behind."""
    return [row for row in connection.execute(LEFT).fetchall() if _is_free(connection, row[0])]


def drop_left_indexes(connection: Connection) -> list[str]:
    """Drop leftover indexes that are not in use; return their names."""
    dropped = []
    for table, _ in left_indexes(connection):
        key = [build_lock(table)]
        if not one_row(connection, TRY_LOCK, key)[0]:
            continue
        try:
            # Queried again under the lock: a build that ended meanwhile may have renamed it.
            for _, index in (row for row in connection.execute(LEFT).fetchall() if row[0] == table):
                if drop_index(connection, index):
                    dropped.append(index)
        finally:
            connection.execute(UNLOCK, key)
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


def _is_free(connection: Connection, table: str) -> bool:
    key = [build_lock(table)]
    (is_free,) = one_row(connection, TRY_LOCK, key)
    if is_free:
        connection.execute(UNLOCK, key)
    return bool(is_free)
