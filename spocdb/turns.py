"""A turn of a worker at one attached table: rows that are due on their way into the collection.

    queue -> lease -> row, its image -> decode -> network -> written, lease given back

Rows that workers were lost with are leased last and one at a time, with nothing else in this
process: what kills it takes no other row along.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from spocdb.db import attachments, engine, outcomes, queue, writing
from spocdb.db.attachments import Source, SourceRow
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.outcomes import Outcome
from spocdb.db.queue import Leased, LeasedRow
from spocdb.errors import ImageError
from spocdb.pipeline.extraction import OnDemand, Writer, count, extract, projecting
from spocdb.pipeline.intake import Intake
from spocdb.pipeline.prefetch import AHEAD, N_THREADS, prefetching
from spocdb.progress import Progress
from spocdb.rows import Rules, lost, outcome_of, read_leased, size_of
from spocdb.settings import Limits

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# A worker that dies costs its leases' time; a small one also stops sooner. What is fetched may take
# its time, and bytes come all at once.
LEASED_AT_ONCE = {"path": AHEAD, "url": 2 * N_THREADS, "bytes": min(AHEAD, 16)}
# The driver holds what the server sends more than once before it counts as read.
ROWS_PART_OF_MEMORY = 8
# How long one collection is worked on while others wait.
SECONDS_A_TURN = 60.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to work; times are in seconds.

    A row is leased for `visibility`; without a notification the queue is looked at every `poll`;
    a row whose image is not there is due again after `backoff`, and twice as long every time. What
    a URL gives counts as no image when the same bytes come `believed_after` they first came.
    """

    limits: Limits
    visibility: float = 300.0
    poll: float = 5.0
    backoff: float = 5.0
    believed_after: float = 3600.0
    batch_size: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A worker's turn at the rows of `source`; `leases` are those that it took and may still hold.

    Rows are leased on `connection` and written on `write_connection`.
    """

    connection: Connection
    write_connection: Connection
    source: Source
    collection: Collection
    extractor: "Extractor"
    options: WorkerOptions
    is_stopped: Callable[[], bool]
    leases: list[UUID]

    def take(self, total: Progress, say: Callable[[Progress, ImageError | None], None]) -> None:
        """Bring the rows that are due to where they belong; what was done is given to `say`."""
        self._bring(total, say, [False])
        self._bring(total, say, self._while_suspect())

    def _bring(
        self,
        total: Progress,
        say: Callable[[Progress, ImageError | None], None],
        rounds: Iterable[bool],
    ) -> None:
        """Bring rows, in rounds that tell whether it is a suspect alone; say what was done."""
        done, bad = Progress(), list[ImageError]()
        try:
            for is_alone in rounds:
                n_before = done.n_seen
                bad += self._extract(done, is_alone)
                if is_alone and done.n_seen == n_before:
                    break  # another worker has it
        finally:
            total.add(done)
        if done.n_seen:
            say(done, bad[0] if bad else None)

    def _while_suspect(self) -> Iterator[bool]:
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            if not queue.is_due(self.connection, self.collection, alone=True):
                return
            yield True

    def _extract(self, progress: Progress, is_alone: bool) -> list[ImageError]:
        """Lease rows, extract and write them; return the first bad one's error, if there is one."""
        rules = Rules(self.source.kind == "url", self.options.backoff, self.options.believed_after)
        bad: list[ImageError] = []
        refused: list[Outcome] = []
        with (
            prefetching(self.options.limits) as prefetch,
            Writer(
                *(self._writing(refused), progress),
                cancel=partial(engine.cancel, self.write_connection),
            ) as writer,
        ):
            intake = Intake(
                *(self.connection, self.collection, prefetch),
                defer=lambda: self.extractor.decodes_jpegs,
            )
            leased = self._leased(writer, progress, is_alone)
            read = prefetch.read(partial(read_leased, self.source), leased, size_of, intake.needs)
            for works, descriptors in extract(
                intake.works(read),
                OnDemand(lambda: self.extractor),
                self.options.batch_size,
                progress,
            ):
                outcome = outcome_of(works, descriptors, rules)
                writer.submit(outcome, partial(intake.written, intake.hand_over(works)))
                count(progress, works)
                progress.n_failed -= len(outcome.retried)
                bad = bad or [work.error for work in works if work.error][:1]
            writer.finish()
        progress.refuse(len(refused))
        return bad

    def _writing(self, refused: list[Outcome]) -> Callable[[Outcome], None]:
        """Return what writes an outcome, and adds to `refused` rows that the database refuses."""
        writing.prepare(self.write_connection)
        projected = projecting(self.write_connection)
        return lambda outcome: refused.extend(
            outcomes.write(
                self.write_connection, self.collection, outcome, projected, self.is_stopped
            )
        )

    def _leased(
        self, writer: Writer[Outcome], progress: Progress, is_alone: bool
    ) -> Iterator[tuple[LeasedRow, SourceRow | ImageError]]:
        """Lease rows while there are any and the turn lasts; if alone, one suspect row."""
        n_rows = 1 if is_alone else LEASED_AT_ONCE[self.source.kind]
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            lease = uuid4()
            self.leases.append(lease)
            found = queue.lease(
                *(self.connection, self.collection, lease, n_rows, self.options.visibility),
                alone=is_alone,
            )
            progress.n_seen += len(found)
            if found:
                yield from self._read(lease, found, writer, progress)
            if is_alone or not (
                found or take_in(self.connection, self.collection, progress, self.is_stopped)
            ):
                return

    def _take_in(self, progress: Progress) -> int:
        return take_in(self.connection, self.collection, progress, self.is_stopped)

    def _read(
        self, lease: UUID, found: Sequence[Leased], writer: Writer[Outcome], progress: Progress
    ) -> Iterator[tuple[LeasedRow, SourceRow | ImageError]]:
        """Yield leased rows with what the table says of them, or why they are given up.

        Those that do not belong any more go to the writer.
        """
        leased = {row.key: LeasedRow(row.key, 0, 0, lease, row, {}) for row in found}
        errors: dict[str, ImageError] = {k: e for k, row in leased.items() if (e := lost(row))}
        for key, error in errors.items():
            yield leased[key], error
        left = {key: row for key, row in leased.items() if key not in errors}
        limits = self.options.limits
        for key, row in attachments.rows_each(
            *(self.connection, self.collection, list(left), limits.max_bytes),
            most_at_once=limits.memory // ROWS_PART_OF_MEMORY,
        ):
            # A condition that is no plain one may let in others than were asked for.
            if lease_of := left.pop(key, None):
                metadata = row.metadata if isinstance(row, SourceRow) else {}
                yield replace(lease_of, metadata=metadata), row
        if left:
            progress.n_pruned += len(left)
            writer.submit(Outcome(gone=[*left.values()]))


def take_in(
    connection: Connection,
    collection: Collection,
    progress: Progress,
    is_stopped: Callable[[], bool],
) -> int:
    """Take changes into the queue; return how many rows that made due, count those that failed."""
    n_rows, n_failed = queue.take_in(connection, collection, is_stopped)
    progress.n_seen += n_failed
    progress.n_failed += n_failed
    return n_rows
