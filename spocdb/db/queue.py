"""The queue: take changes of attached tables and references in, lease them, give them back.

An entry is the key of a row, or the name of an image or archive. A worker leases it for a limited
time, and writes only if the lease still holds. A change of the row ends the lease, and the lease of
a dead worker expires: no row is lost or written twice. spocdb/db/outcomes.py writes the outcomes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString, TypeVar
from uuid import UUID

import psycopg

from spocdb.db.attachments import readable
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.waiting import Stopped
from spocdb.records import ImageRef

# NOTIFY channel that wakes workers. A worker that misses a notification finds the row by polling.
CHANNEL = "spocdb"
# A row is suspect when this many workers were lost while they had it. It is then leased alone, so
# that another lost worker delays no other row.
LOST_UNTIL_ALONE = 2


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of a leased row since it changed.

    `attempts` includes the current try. `lost` counts leases that expired, because the worker died
    or was too slow. The last `rejections` tries fetched the same bytes, which were no image: their
    sha256 is `rejected`, the first try was `rejected_for` seconds ago.
    """

    attempts: int
    lost: int = 0
    rejected: bytes | None = None
    rejections: int = 0
    rejected_for: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedRef(ImageRef):
    """An entry of the queue that a worker has leased, or an image of a leased archive.

    `part_of` is the key of the entry that was opened, such as an archive: it ends when all of its
    images are done. None: the image itself is the entry, and they end together.
    """

    lease: UUID
    # Not compared, because the lease identifies the try.
    tries: Tries = field(compare=False)
    part_of: str | None = None

    @property
    def entry(self) -> str:
        """Return the key of its entry."""
        return self.name if self.part_of is None else self.part_of


# Entries by whether they are suspect. A suspect has `lost > 0`, which leads to a small index.
WHICH: Mapping[bool, LiteralString] = {
    False: "q.lost + (q.lease IS NOT NULL)::integer < %(suspect)s",
    True: "q.lost > 0 AND q.lost + (q.lease IS NOT NULL)::integer >= %(suspect)s",
}

# SKIP LOCKED, so that workers do not wait for each other. An expired lease is a lost worker.
LEASE = """
WITH due AS (
    SELECT key FROM spocdb.queue q WHERE collection_id = %(collection)s AND due_at <= now()
       AND {which}
    ORDER BY due_at, key LIMIT %(n)s FOR UPDATE SKIP LOCKED
)
UPDATE spocdb.queue q
SET lease = %(lease)s, due_at = now() + %(seconds)s * interval '1 second',
    attempts = q.attempts + (q.lease IS NULL)::integer,
    lost = q.lost + (q.lease IS NOT NULL)::integer
FROM due WHERE q.collection_id = %(collection)s AND q.key = due.key
RETURNING q.key, q.version, q.size, q.attempts, q.lost, q.rejected, q.rejections,
          coalesce(extract(epoch FROM now() - q.rejected_since), 0)::float8 AS rejected_for
"""

IS_DUE = """
SELECT FROM spocdb.queue q WHERE collection_id = %(collection)s AND due_at <= now() LIMIT 1
"""

IS_SUSPECT_DUE = """
SELECT FROM spocdb.queue q WHERE collection_id = %(collection)s AND due_at <= now()
   AND {which} LIMIT 1
"""

# Failures that the current transaction recorded: now() is the time at which it began.
JUST_FAILED = "SELECT count(*) FROM spocdb.failures WHERE collection_id = %s AND failed_at = now()"

GIVE_BACK = """
UPDATE spocdb.queue SET lease = NULL, due_at = now(), attempts = attempts - 1
WHERE collection_id = %s AND lease = ANY(%s)
"""

# Entries that were opened, by key and lease.
EXTEND = """
UPDATE spocdb.queue q SET due_at = now() + %s * interval '1 second'
FROM unnest(%s::text[], %s::uuid[]) AS l (key, lease)
WHERE q.collection_id = %s AND q.key = l.key AND q.lease = l.lease
RETURNING q.key
"""

END = """
DELETE FROM spocdb.queue q USING unnest(%s::text[], %s::uuid[]) AS l (key, lease)
WHERE q.collection_id = %s AND q.key = l.key AND q.lease = l.lease
"""

LEAVE = """
UPDATE spocdb.queue q SET lease = NULL, due_at = now(), attempts = q.attempts - 1
FROM unnest(%s::text[], %s::uuid[]) AS l (key, lease)
WHERE q.collection_id = %s AND q.key = l.key AND q.lease = l.lease
"""

ENQUEUE = "SELECT spocdb.enqueue(%s, %s::text[], %s::text[], %s::bigint[])"

# By one look-up for each collection: the queue may be long.
REFERRING = """
SELECT c.name FROM spocdb.collections c
WHERE NOT EXISTS (SELECT FROM spocdb.sources s WHERE s.collection_id = c.id)
  AND EXISTS (SELECT FROM spocdb.queue q WHERE q.collection_id = c.id)
ORDER BY c.name
"""

# Shorter than deadlock_timeout (1 s): in a deadlock spocdb gives way, not the application.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"

RETRY = "SELECT spocdb.retry(%s, %s)"

# A change without keys may be of any row.
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

# Retries while an application locks its table; leases may expire meanwhile.
SECONDS_BETWEEN_TRIES, MOST_SECONDS_OF_TRIES = 0.1, 60.0
SECONDS_OF_TRIES_WHEN_STOPPED = 3.0

Result = TypeVar("Result")


def take_in(
    connection: Connection, collection: Collection, is_stopped: Stopped = lambda: False
) -> tuple[int, int]:
    """Take recorded changes into the queue.

    Returns how many rows became due, and how many failed because their key is too long.

    Raises:
        SourceBroken: the attached table was altered.
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
    """Lease up to n due rows for `seconds`: suspect rows if `alone`, otherwise only other rows."""
    values = {"collection": collection.id, "lease": lease, "n": n, "seconds": seconds}
    values |= {"suspect": LOST_UNTIL_ALONE}
    rows = connection.execute(LEASE.format(which=WHICH[alone]), values).fetchall()
    return [
        LeasedRef(key, version, size, lease=lease, tries=Tries(*tries))
        for key, version, size, *tries in rows
    ]


def enqueue(connection: Connection, collection: Collection, refs: Sequence[ImageRef]) -> int:
    """Put references into the queue; return how many were not there in this version.

    Raises:
        ConfigError: a table is attached to the collection.
        CollectionNotFound: it was dropped meanwhile.
    """
    values = [[r.name for r in refs], [r.version for r in refs], [r.size for r in refs]]
    return int(one_row(connection, ENQUEUE, [collection.name, *values])[0])


def referring(connection: Connection) -> list[str]:
    """List the collections without an attached table that have references in the queue."""
    return [name for (name,) in connection.execute(REFERRING)]


def extend(
    connection: Connection, collection: Collection, held: Mapping[str, UUID], seconds: float
) -> set[str]:
    """Let leases of opened entries expire in `seconds`; return the keys that are still held."""
    values = [seconds, [*held], [*held.values()], collection.id]
    return {key for (key,) in connection.execute(EXTEND, values)}


def end(connection: Connection, collection: Collection, held: Mapping[str, UUID]) -> None:
    """Delete opened entries that are done, if their leases still hold."""
    connection.execute(END, [[*held], [*held.values()], collection.id])


def leave(connection: Connection, collection: Collection, held: Mapping[str, UUID]) -> None:
    """End the leases of opened entries that are not done, so that others can lease them at once."""
    connection.execute(LEAVE, [[*held], [*held.values()], collection.id])


def is_due(connection: Connection, collection: Collection, *, alone: bool = False) -> bool:
    """Tell whether a row is due; if `alone`, whether a suspect row is."""
    values = {"collection": collection.id, "suspect": LOST_UNTIL_ALONE}
    statement = IS_SUSPECT_DUE.format(which=WHICH[True]) if alone else IS_DUE
    return connection.execute(statement, values).fetchone() is not None


def shortly(
    connection: Connection, action: Callable[[], Result], is_stopped: Stopped = lambda: False
) -> Result:
    """Run `action` in a transaction with a 200 ms lock_timeout; on timeout roll back and retry.

    Retries for up to 60 s, or 3 s once stopped. The short timeout ends any deadlock with others.
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
    """End leases, so that other workers can lease their rows at once."""
    connection.execute(GIVE_BACK, [collection.id, list(leases)])


def retry(connection: Connection, collection: str, keys: Sequence[str] | None) -> int:
    """Make failed rows and rows in back-off due at once; return how many.

    With `keys`, named rows that are due already count too.

    Raises:
        CollectionNotFound: no table is attached as this collection.
    """
    return int(one_row(connection, RETRY, [collection, None if keys is None else list(keys)])[0])


def neither_failed_nor_waiting(
    connection: Connection, collection: Collection, keys: Sequence[str]
) -> list[str]:
    """Return the keys whose row has not failed, is not in the queue and has no recorded change."""
    values = {"collection": collection.id, "keys": list(dict.fromkeys(keys))}
    return [key for (key,) in connection.execute(NEITHER_FAILED_NOR_WAITING, values)]
