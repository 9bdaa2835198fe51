"""The queue of attached tables: take changes in, lease rows, give them back.

A row is leased for a while and written only by whoever still has the lease. A change takes the
lease away, a worker that dies lets it run out: nothing is lost and nothing is done twice. What
became of leased rows is written by spocdb/db/outcomes.py.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import psycopg

from spocdb.db.attachments import readable
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection, one_row
from spocdb.db.waiting import Stopped
from spocdb.records import ImageRef

# Changes that workers are told of; who missed one sees the row when polling.
CHANNEL = "spocdb"
# A row is suspect when so many workers were lost while they had it: then it is leased alone, so
# that it takes no other row along, and those that were lost beside it get through.
LOST_UNTIL_ALONE = 2


@dataclass(frozen=True, slots=True)
class Tries:
    """How a leased row fared since it changed.

    `attempts` of its image include this one; `lost` workers had it when they died, or were too
    slow. `rejections` tries in a row gave the same bytes that were no image, of the sha256
    `rejected`, the first of them `rejected_for` seconds ago.
    """

    attempts: int
    lost: int = 0
    rejected: bytes | None = None
    rejections: int = 0
    rejected_for: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedRef(ImageRef):
    """A row of an attached table, by its key, that a worker has for a while."""

    lease: UUID
    # Compared by its lease.
    tries: Tries = field(compare=False)


# Every worker takes its locks in the order of the keys. A lease that ran out lost its worker.
LEASE = """
WITH due AS (
    SELECT key FROM spocdb.queue q WHERE collection_id = %(collection)s AND due_at <= now()
       AND (q.lost + (q.lease IS NOT NULL)::integer >= %(suspect)s) = %(alone)s
    ORDER BY due_at, key LIMIT %(n)s FOR UPDATE SKIP LOCKED
)
UPDATE spocdb.queue q
SET lease = %(lease)s, due_at = now() + %(seconds)s * interval '1 second',
    attempts = q.attempts + (q.lease IS NULL)::integer,
    lost = q.lost + (q.lease IS NOT NULL)::integer
FROM due WHERE q.collection_id = %(collection)s AND q.key = due.key
RETURNING q.key, q.attempts, q.lost, q.rejected, q.rejections,
          coalesce(extract(epoch FROM now() - q.rejected_since), 0)::float8 AS rejected_for
"""

IS_DUE = """
SELECT FROM spocdb.queue q WHERE collection_id = %s AND due_at <= now()
   AND (NOT %s OR q.lost + (q.lease IS NOT NULL)::integer >= %s) LIMIT 1
"""

# In the transaction that recorded them.
JUST_FAILED = "SELECT count(*) FROM spocdb.failures WHERE collection_id = %s AND failed_at = now()"

GIVE_BACK = """
UPDATE spocdb.queue SET lease = NULL, due_at = now(), attempts = attempts - 1
WHERE collection_id = %s AND lease = ANY(%s)
"""

# Shorter than deadlock_timeout, a second: whoever else waits is not the one that has to give way.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"

RETRY = "SELECT spocdb.retry(%s, %s)"

# A change that names no keys may be of any row.
NEITHER_FAILED_NOR_WAITING = """
SELECT k.key FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS k (key, n)
WHERE NOT EXISTS (SELECT FROM spocdb.failures f
                  WHERE f.collection_id = %(collection)s AND f.path = k.key)
  AND NOT EXISTS (SELECT FROM spocdb.queue q
                  WHERE q.collection_id = %(collection)s AND q.key = k.key)
  AND NOT EXISTS (SELECT FROM spocdb.source_changes c
                  WHERE c.collection_id = %(collection)s
                    AND (c.keys IS NULL OR k.key = ANY (c.keys)))
ORDER BY k.n
"""

# An application that alters its table may take long; leases run out meanwhile.
SECONDS_BETWEEN_TRIES, MOST_SECONDS_OF_TRIES = 0.1, 60.0
SECONDS_OF_TRIES_WHEN_STOPPED = 3.0

Result = TypeVar("Result")


def take_in(
    connection: Connection, collection: Collection, is_stopped: Stopped = lambda: False
) -> tuple[int, int]:
    """Take noted changes into the queue. Raises SourceBroken.

    Returns how many rows that made due, and how many failed because their key is too long.
    """

    def take() -> tuple[int, int]:
        with readable(collection):
            (n_rows,) = one_row(connection, "SELECT spocdb.take_in(%s)", [collection.id])
        return n_rows, one_row(connection, JUST_FAILED, [collection.id])[0]

    return shortly(connection, take, is_stopped)


def lease(
    connection: Connection,
    collection: Collection,
    lease: UUID,
    n: int,
    seconds: float,
    *,
    alone: bool = False,
) -> list[LeasedRef]:
    """Lease up to n rows that are due, for so many seconds: suspect ones if `alone`, or others."""
    values = {"collection": collection.id, "lease": lease, "n": n, "seconds": seconds}
    values |= {"alone": alone, "suspect": LOST_UNTIL_ALONE}
    rows = connection.execute(LEASE, values).fetchall()
    return [LeasedRef(key, lease=lease, tries=Tries(*tries)) for key, *tries in rows]


def is_due(connection: Connection, collection: Collection, *, alone: bool = False) -> bool:
    """Tell whether a row waits for a worker; if `alone`, a suspect one."""
    values = [collection.id, alone, LOST_UNTIL_ALONE]
    return connection.execute(IS_DUE, values).fetchone() is not None


def shortly(
    connection: Connection, action: Callable[[], Result], is_stopped: Stopped = lambda: False
) -> Result:
    """Run `action` in a transaction with a 200 ms lock_timeout; on timeout roll back and retry.

    For up to 60 s, or 3 s once stopped: nobody can be in a circle of locks with it for long.
    """
    began = time.monotonic()
    while True:
        try:
            with connection.transaction():
                connection.execute(LOCK_TIMEOUT)
                return action()
        except psycopg.errors.LockNotAvailable:
            most = SECONDS_OF_TRIES_WHEN_STOPPED if is_stopped() else MOST_SECONDS_OF_TRIES
            if time.monotonic() > began + most:
                raise
        time.sleep(SECONDS_BETWEEN_TRIES)


def give_back(connection: Connection, collection: Collection, leases: Sequence[UUID]) -> None:
    """Let other workers have the rows of these leases at once."""
    connection.execute(GIVE_BACK, [collection.id, list(leases)])


def retry(connection: Connection, collection: str, keys: Sequence[str] | None) -> int:
    """Make failed rows and rows in back-off due; return how many wait. Raises CollectionNotFound.

    Of `keys`, rows that are due already count too.
    """
    return int(one_row(connection, RETRY, [collection, None if keys is None else list(keys)])[0])


def neither_failed_nor_waiting(
    connection: Connection, collection: Collection, keys: Sequence[str]
) -> list[str]:
    """Return those of the keys that are of no row that failed, waits or is with a worker."""
    values = {"collection": collection.id, "keys": list(dict.fromkeys(keys))}
    return [key for (key,) in connection.execute(NEITHER_FAILED_NOR_WAITING, values)]
