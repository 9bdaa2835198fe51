"""Write the outcomes of leased rows in one transaction, for rows whose lease still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg.types.json import Jsonb

from spocdb.db import writing
from spocdb.db.attachments import readable
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.images import forget_failures
from spocdb.db.items import write_each
from spocdb.db.queue import LeasedRef, shortly
from spocdb.db.waiting import Stopped
from spocdb.db.writing import Project
from spocdb.errors import ImageError
from spocdb.records import NewDescriptor


@dataclass(frozen=True, slots=True)
class Retry:
    """A row that is put back into the queue with a back-off of `seconds`.

    `rejected` is the sha256 of fetched bytes that were no image.
    """

    row: LeasedRef
    seconds: float
    rejected: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is written in one transaction: `images` and `descriptors` as in a Batch.

    `failures` are given up, and their earlier embedding is kept. `no_images` are given up because
    their bytes are no image, and their earlier embedding is deleted. `gone` rows no longer belong
    to the collection. `retried` rows are put back into the queue.
    """

    images: Sequence[tuple[LeasedRef, bytes]] = ()
    descriptors: Mapping[bytes, NewDescriptor] = field(default_factory=dict)
    failures: Sequence[tuple[LeasedRef, ImageError]] = ()
    no_images: Sequence[tuple[LeasedRef, ImageError]] = ()
    gone: Sequence[LeasedRef] = ()
    retried: Sequence[Retry] = ()
    # Whether images get exactly the metadata of their refs, as those of a row.
    with_metadata: bool = True

    @property
    def rows(self) -> list[LeasedRef]:
        """Return all rows of the outcome."""
        paired = [row for row, _ in (*self.images, *self.failures, *self.no_images)]
        return [*paired, *(retry.row for retry in self.retried), *self.gone]

    def items(self) -> list["Outcome"]:
        """Return outcomes of one row each."""
        return [
            *(
                Outcome([image], self._described(image[1]), with_metadata=self.with_metadata)
                for image in self.images
            ),
            *(Outcome(failures=[failure]) for failure in self.failures),
            *(Outcome(no_images=[failure]) for failure in self.no_images),
            *(Outcome(gone=[row]) for row in self.gone),
            *(Outcome(retried=[retry]) for retry in self.retried),
        ]

    def failed(self, error: ImageError) -> "Outcome":
        """Return an outcome in which each row is given up."""
        return Outcome(failures=[(row, error) for row in self.rows])

    def _described(self, sha256: bytes) -> dict[bytes, NewDescriptor]:
        return {sha256: self.descriptors[sha256]} if sha256 in self.descriptors else {}


# Here and in PUT_BACK `= ANY` keeps the planner, which has no statistics of a queue that was just
# filled, from reading the whole queue for each batch.
HELD = """
SELECT q.key, q.lease FROM unnest(%(keys)b::text[], %(leases)b::uuid[]) AS l (key, lease)
JOIN spocdb.queue q
    ON q.collection_id = %(collection)s AND q.key = l.key AND q.lease = l.lease
WHERE q.key = ANY(%(keys)b)
ORDER BY q.key FOR UPDATE OF q
"""

FINISH = "DELETE FROM spocdb.queue WHERE collection_id = %s AND key = ANY(%s)"

# A row that is put back without a failure of its own gets its attempt back.
PUT_BACK = """
UPDATE spocdb.queue q
SET lease = NULL, due_at = now() + r.seconds * interval '1 second',
    attempts = q.attempts - (NOT r.has_failed)::integer,
    rejections = CASE WHEN r.rejected IS NULL THEN q.rejections
                      WHEN r.rejected = q.rejected THEN q.rejections + 1 ELSE 1 END,
    rejected_since = CASE WHEN r.rejected IS NULL OR r.rejected = q.rejected
                          THEN q.rejected_since ELSE now() END,
    rejected = coalesce(r.rejected, q.rejected)
FROM unnest(%(keys)b::text[], %(seconds)s::float8[], %(failed)s::boolean[], %(rejected)s::bytea[])
     AS r (key, seconds, has_failed, rejected)
WHERE q.collection_id = %(collection)s AND q.key = r.key AND q.key = ANY(%(keys)b)
"""

FORGET = "DELETE FROM spocdb.images WHERE collection_id = %s AND path = ANY(%s)"

SET_METADATA = """
UPDATE spocdb.images i SET metadata = m.metadata
FROM unnest(%s::text[], %s::jsonb[]) AS m (path, metadata)
WHERE i.collection_id = %s AND i.path = m.path AND i.metadata <> m.metadata
"""

# Back-off of a row that the application is deleting or has locked.
SECONDS_AFTER_LOCK = 1.0


def write(
    connection: Connection,
    collection: Collection,
    outcome: Outcome,
    project: Project,
    is_stopped: Stopped = lambda: False,
) -> list[Outcome]:
    """Write the outcomes of rows whose lease still holds; return the refused ones.

    Runs in one transaction. If the database refuses a row, each row gets its own transaction, and
    refused rows become failures. Locks the application's table, the collection, the queue and then
    rows, each with a 200 ms lock_timeout.

    Raises:
        SourceBroken: the attached table was altered.
        CollectionNotFound: the collection was dropped meanwhile.
        ExtractorChanged: the collection has another extractor now.
    """

    def write_whole(part: Outcome) -> None:
        shortly(connection, lambda: _write(connection, collection, part, project), is_stopped)

    return write_each(write_whole, outcome)


def _write(
    connection: Connection, collection: Collection, outcome: Outcome, project: Project
) -> None:
    _lock_rows(connection, collection, [])
    writing.lock(connection, collection)
    held = _held(connection, collection, outcome.rows)
    images = [(row, sha256) for row, sha256 in outcome.images if row in held]
    failures = [(r, error) for r, error in (*outcome.failures, *outcome.no_images) if r in held]
    there = _lock_rows(connection, collection, [row for row, _ in (*images, *failures)])
    images = [(row, sha256) for row, sha256 in images if row.name in there]
    failures = [(row, error) for row, error in failures if row.name in there]
    gone = [row.name for row in outcome.gone if row in held]
    no_images = {row.name for row, _ in outcome.no_images}
    without = [*gone, *(row.name for row, _ in failures if row.name in no_images)]
    connection.execute(FORGET, [collection.id, without])
    forget_failures(connection, collection, without)
    batch = Batch(images, outcome.descriptors, failures)
    writing.write_whole(connection, collection, batch, project)
    if outcome.with_metadata:
        _set_metadata(connection, collection, [row for row, _ in images])
    done = {*gone, *(row.name for row, _ in (*images, *failures) if row.part_of is None)}
    connection.execute(FINISH, [collection.id, sorted(done)])
    # Opened entries stay leased while they have images; they end as a whole.
    retried = {retry.row.entry for retry in outcome.retried if retry.row in held}
    single = {row.name for row in held if row.part_of is None}
    _put_back(connection, collection, outcome, (single | retried) - done)


def _put_back(
    connection: Connection, collection: Collection, outcome: Outcome, keys: set[str]
) -> None:
    """Put back rows to retry, and rows that the application has locked."""
    retried = {retry.row.entry: retry for retry in outcome.retried}
    ordered = sorted(keys)
    found = [retried.get(key) for key in ordered]
    values = {
        "collection": collection.id,
        "keys": ordered,
        "seconds": [retry.seconds if retry else SECONDS_AFTER_LOCK for retry in found],
        "failed": [retry is not None for retry in found],
        "rejected": [retry.rejected if retry else None for retry in found],
    }
    connection.execute(PUT_BACK, values)


def _held(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRef]
) -> set[LeasedRef]:
    """Lock the rows whose lease still holds."""
    pairs = list({(row.entry, row.lease) for row in rows})
    values = {
        "collection": collection.id,
        "keys": [key for key, _ in pairs],
        "leases": [lease for _, lease in pairs],
    }
    held = set(connection.execute(HELD, values).fetchall())
    return {row for row in rows if (row.entry, row.lease) in held}


def _lock_rows(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRef]
) -> set[str]:
    with readable(collection):
        values = [collection.id, [row.name for row in rows]]
        return {key for (key,) in connection.execute("SELECT spocdb.lock_rows(%s, %s)", values)}


def _set_metadata(
    connection: Connection, collection: Collection, rows: Sequence[LeasedRef]
) -> None:
    metadata = [Jsonb(dict(row.metadata)) for row in rows]
    values = [[row.name for row in rows], metadata, collection.id]
    connection.execute(SET_METADATA, values)
