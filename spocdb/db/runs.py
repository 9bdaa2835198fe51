"""Runs of an ingest, and the images that failed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import ProcessLost

Status = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that failed: `reason` is the error's class, `message` its text."""

    collection: str
    path: str
    reason: str
    message: str
    failed_at: datetime


# A run holds an advisory lock until its connection ends; a running run without it was killed.
BEGIN = """
INSERT INTO spocdb.runs (collection_id) VALUES (%s)
RETURNING id, pg_advisory_lock(hashtext('spocdb.runs'), id::integer)
"""

MARK_KILLED = """
UPDATE spocdb.runs r SET status = 'interrupted', finished_at = now()
WHERE r.collection_id = %s AND r.status = 'running' AND NOT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objid = r.id::integer::oid
      AND l.classid = (hashtext('spocdb.runs')::bigint & 4294967295)::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""

END = "UPDATE spocdb.runs SET status = %s, finished_at = now(), summary = %s WHERE id = %s"

# Failures per statement, and the most in memory.
PAGE = 1000

LIST_FAILURES = """
SELECT f.path, f.reason, f.message, f.failed_at
FROM spocdb.failures f WHERE f.collection_id = %(collection)s AND {beyond}
ORDER BY f.path LIMIT %(n)s
"""

FAILED = "SELECT path FROM spocdb.failures WHERE collection_id = %s ORDER BY path"

LOST = "SELECT path FROM spocdb.failures WHERE collection_id = %s AND reason = %s"


def mark_killed(connection: Connection, collection: Collection) -> bool:
    """Mark the runs of a collection that were killed; tell whether there were any."""
    return connection.execute(MARK_KILLED, [collection.id]).rowcount > 0


def begin(connection: Connection, collection: Collection) -> int:
    """Record that a run begins; this connection holds its advisory lock."""
    return int(one_row(connection, BEGIN, [collection.id])[0])


def end(connection: Connection, run_id: int, status: Status, summary: dict[str, Any]) -> None:
    """Record how a run ended."""
    connection.execute(END, [status, Jsonb(summary), run_id])
    connection.execute("SELECT pg_advisory_unlock(hashtext('spocdb.runs'), %s::integer)", [run_id])


def failures(
    connection: Connection, collection: Collection, after: str | None, n: int
) -> list[Failure]:
    """Return the next n failures of a collection by path, after the path `after`."""
    # Not by OR: a generic plan would read the pages before again.
    beyond = SQL("true" if after is None else "f.path > %(after)s")
    values = {"collection": collection.id, "after": after, "n": n}
    rows = connection.execute(SQL(LIST_FAILURES).format(beyond=beyond), values)
    return [Failure(collection.name, *row) for row in rows]


def lost(connection: Connection, collection: Collection) -> set[str]:
    """Return the names of the images whose decoding ended a process."""
    return {row[0] for row in connection.execute(LOST, [collection.id, ProcessLost.__name__])}


def failed(connection: Connection, collection: Collection) -> list[str]:
    """List the names of the images of a collection that failed."""
    return [name for (name,) in connection.execute(FAILED, [collection.id])]
