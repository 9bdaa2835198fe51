"""The queue of attached tables: take changes in, lease rows, write what became of them.

A row is leased for a while and written only by whoever still has the lease. A change takes the
lease away, a worker that dies lets it run out: nothing is lost and nothing is done twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from spocdb.db import batches
from spocdb.db.batches import Batch, NewDescriptor, Project
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection, one_row
from spocdb.db.images import forget_failures
from spocdb.db.sources import readable
from spocdb.errors import ImageError, ImageVanished
from spocdb.records import SourceFile

# Changes that workers are told of; who missed one sees the row when polling.
CHANNEL = "spocdb"


@dataclass(frozen=True, slots=True)
class LeasedRow(SourceFile):
    """A row of an attached table on its way: `path` is its key, `attempts` counts this one."""

    lease: UUID
    attempts: int
    # Compared by its lease; a dict could not be hashed.
    metadata: dict[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is written in one transaction: `images` and `descriptors` as in a Batch.

    `failures` are given up, `gone` rows do not belong to the collection any more, `retried` ones
    are put back and due again after so many seconds.
    """

    images: Sequence[tuple[LeasedRow, bytes]] = ()
    descriptors: Mapping[bytes, NewDescriptor] = field(default_factory=dict)
    failures: Sequence[tuple[LeasedRow, ImageError]] = ()
    gone: Sequence[LeasedRow] = ()
    retried: Sequence[tuple[LeasedRow, float]] = ()

    @property
    def rows(self) -> list[LeasedRow]:
        """Return all rows that it is about."""
        paired = (*self.images, *self.failures, *self.retried)
        return [*(row for row, _ in paired), *self.gone]


# Every worker takes its locks in the order of the keys.
LEASE = """
WITH due AS (
    SELECT key FROM spocdb.queue WHERE collection_id = %(collection)s AND due_at <= now()
    ORDER BY due_at, key LIMIT %(n)s FOR UPDATE SKIP LOCKED
)
UPDATE spocdb.queue q
SET lease = %(lease)s, attempts = attempts + 1, due_at = now() + %(seconds)s * interval '1 second'
FROM due WHERE q.collection_id = %(collection)s AND q.key = due.key
RETURNING q.key, q.attempts
"""

IS_DUE = "SELECT FROM spocdb.queue WHERE collection_id = %s AND due_at <= now() LIMIT 1"

HELD = """
SELECT q.key, q.lease FROM unnest(%s::text[], %s::uuid[]) AS l (key, lease)
JOIN spocdb.queue q ON q.collection_id = %s AND q.key = l.key AND q.lease = l.lease
ORDER BY q.key FOR UPDATE OF q
"""

FINISH = "DELETE FROM spocdb.queue WHERE collection_id = %s AND key = ANY(%s)"

# What is not the row's own fault is no attempt.
PUT_BACK = """
UPDATE spocdb.queue q
SET lease = NULL, due_at = now() + r.seconds * interval '1 second',
    attempts = attempts - (NOT r.has_failed)::integer
FROM unnest(%s::text[], %s::float8[], %s::boolean[]) AS r (key, seconds, has_failed)
WHERE q.collection_id = %s AND q.key = r.key
"""

GIVE_BACK = """
UPDATE spocdb.queue SET lease = NULL, due_at = now(), attempts = attempts - 1
WHERE collection_id = %s AND lease = ANY(%s)
"""

# Shorter than deadlock_timeout, a second: whoever else waits is not the one that has to give way.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"

FORGET = "DELETE FROM spocdb.images WHERE collection_id = %s AND path = ANY(%s)"

SET_METADATA = """
UPDATE spocdb.images i SET metadata = m.metadata
FROM unnest(%s::text[], %s::jsonb[]) AS m (path, metadata)
WHERE i.collection_id = %s AND i.path = m.path AND i.metadata <> m.metadata
"""

RETRY = "SELECT spocdb.retry(%s, %s)"

# Of a row that the application is deleting or locking in this moment.
SECONDS_AFTER_LOCK = 1.0
# An application that alters its table may take long; leases run out meanwhile.
SECONDS_BETWEEN_TRIES, MOST_SECONDS_OF_TRIES = 0.1, 60.0

Result = TypeVar("Result")


def take_in(connection: Connection, collection: Collection) -> int:
    """Take noted changes into the queue; return the number of rows. Raises SourceBroken."""

    def take() -> int:
        with readable(collection):
            return int(one_row(connection, "SELECT spocdb.take_in(%s)", [collection.id])[0])

    return _shortly(connection, take)


def lease(
    connection: Connection, collection: Collection, lease: UUID, n: int, seconds: float
) -> dict[str, int]:
    """Lease up to n rows that are due, for so many seconds; return the attempts by key."""
    values = {"collection": collection.id, "lease": lease, "n": n, "seconds": seconds}
    return dict(connection.execute(LEASE, values).fetchall())


def is_due(connection: Connection, collection: Collection) -> bool:
    """Tell whether a row waits for a worker."""
    return connection.execute(IS_DUE, [collection.id]).fetchone() is not None


def write(
    connection: Connection, collection: Collection, outcome: Outcome, project: Project
) -> None:
    """Write what became of leased rows, those whose lease still holds, in one transaction.

    It locks the application's table, the collection, the queue and then rows, and waits for a lock
    only so shortly that nobody can be in a circle with it for long: then it lets go of all and
    begins anew. Raises as `batches.write`, and SourceBroken.
    """
    _shortly(connection, lambda: _write(connection, collection, outcome, project))


def _shortly(connection: Connection, action: Callable[[], Result]) -> Result:
    """Do it in a transaction that waits for no lock but shortly: then let go, and begin anew."""
    until = time.monotonic() + MOST_SECONDS_OF_TRIES
    while True:
        try:
            with connection.transaction():
                connection.execute(LOCK_TIMEOUT)
                return action()
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > until:
                raise
        time.sleep(SECONDS_BETWEEN_TRIES)


def _write(
    connection: Connection, collection: Collection, outcome: Outcome, project: Project
) -> None:
    _lock_rows(connection, collection, [])
    batches.lock(connection, collection)
    held = _held(connection, collection, outcome.rows)
    images = [(row, sha256) for row, sha256 in outcome.images if row in held]
    failures = [(row, error) for row, error in outcome.failures if row in held]
    there = _lock_rows(connection, collection, [row for row, _ in (*images, *failures)])
    images = [(row, sha256) for row, sha256 in images if row.path in there]
    failures = [(row, error) for row, error in failures if row.path in there]
    # What is no image replaced the one before. What could not be had may be that one still.
    unreadable = [row for row, error in failures if not isinstance(error, ImageVanished)]
    without = [row.path for row in (*outcome.gone, *unreadable) if row in held]
    connection.execute(FORGET, [collection.id, without])
    forget_failures(connection, collection, without)
    batch = Batch(images, outcome.descriptors, failures)
    batches.write_whole(connection, collection, batch, project)
    _set_metadata(connection, collection, [row for row, _ in images])
    done = {*without, *(row.path for row, _ in (*images, *failures))}
    connection.execute(FINISH, [collection.id, sorted(done)])
    due = {row.path: after for row, after in outcome.retried}
    put_back = sorted({row.path for row in held} - done)
    after = [due.get(key, SECONDS_AFTER_LOCK) for key in put_back]
    has_failed = [key in due for key in put_back]
    connection.execute(PUT_BACK, [put_back, after, has_failed, collection.id])


def give_back(connection: Connection, collection: Collection, leases: Sequence[UUID]) -> None:
    """Let other workers have the rows of these leases at once."""
    connection.execute(GIVE_BACK, [collection.id, list(leases)])


def retry(connection: Connection, collection: str, keys: Sequence[str] | None) -> int:
    """Put failed rows into the queue again; return how many. Raises CollectionNotFound."""
    return int(one_row(connection, RETRY, [collection, None if keys is None else list(keys)])[0])


def _held(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRow]
) -> set[LeasedRow]:
    """Lock the rows whose lease still holds."""
    values = [[row.path for row in rows], [row.lease for row in rows], collection.id]
    held = set(connection.execute(HELD, values).fetchall())
    return {row for row in rows if (row.path, row.lease) in held}


def _lock_rows(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRow]
) -> set[str]:
    with readable(collection):
        values = [collection.id, [row.path for row in rows]]
        return {key for (key,) in connection.execute("SELECT spocdb.lock_rows(%s, %s)", values)}


def _set_metadata(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRow]
) -> None:
    metadata = [Jsonb(row.metadata) for row in rows]
    values = [[row.path for row in rows], metadata, collection.id]
    connection.execute(SET_METADATA, values)
