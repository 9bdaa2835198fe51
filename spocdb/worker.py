"""The worker: rows of attached tables on their way into their collections.

    changes -> queue -> lease -> row, its image -> decode -> network -> written, lease given back

Extraction runs outside any transaction. Killed at whatever moment, a worker leaves leases that run
out; stopped, it finishes what it has.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from spocdb import fit
from spocdb.db import batches, collections, engine, queue, rights, sources
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.queue import LeasedRow, Outcome
from spocdb.db.sources import Source, SourceRow
from spocdb.errors import (
    CollectionNotFound,
    DatabaseLost,
    ExtractorChanged,
    SourceBroken,
    SpocdbError,
)
from spocdb.extraction import OnDemand, Writer, count, extract, projecting
from spocdb.intake import Intake
from spocdb.prefetch import AHEAD, N_THREADS, Work, prefetching
from spocdb.progress import Progress, Say, silent
from spocdb.records import Recipe
from spocdb.rows import outcome_of, read_leased
from spocdb.settings import Limits

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# A worker that dies costs its leases' time; a small one also stops sooner. What is fetched may take
# its time, and bytes come all at once.
LEASED_AT_ONCE = {"path": AHEAD, "url": 2 * N_THREADS, "bytes": min(AHEAD, 16)}
# The driver holds what the server sends more than once before it counts as read.
ROWS_PART_OF_MEMORY = 8
# So long one collection is worked on while others wait.
SECONDS_A_TURN = 60.0
# How soon a worker that waits notices that it shall stop.
SECONDS_BETWEEN_LOOKS = 0.5
# Between tries to reach a database that went away; each pause is twice the one before.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to work; times are in seconds.

    A row is leased for `visibility`; without a notification the queue is looked at every `poll`;
    a row whose image is not there is due again after `backoff`, and twice as long every time.
    """

    limits: Limits
    visibility: float = 300.0
    poll: float = 5.0
    backoff: float = 5.0
    batch_size: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker needs, one for each database; `connect` opens a connection to it."""

    connect: Callable[[], Connection]
    load_extractor: "Callable[[Recipe], Extractor]"
    options: WorkerOptions
    is_stopped: Callable[[], bool] = lambda: False
    say: Say = silent
    # What was said about tables that cannot be read: once is enough.
    _problems: dict[str, SpocdbError] = field(default_factory=dict)

    def run(self, names: Sequence[str] = (), *, once: bool = False) -> Progress:
        """Work on the attached collections, all or those named, until stopped.

        A database that goes away is waited for. `once` ends when nothing is due any more; it raises
        DatabaseLost, and at its end SourceBroken if a table could not be read. Raises
        CollectionNotFound for a name that is not attached.
        """
        total, pause = Progress(), SHORTEST_PAUSE
        while not self.is_stopped():
            try:
                with engine.wrapped(), self.connect() as connection:
                    pause = SHORTEST_PAUSE
                    connection.execute(f"LISTEN {queue.CHANNEL}")
                    self._passes(connection, names, total, once=once)
                    break
            except DatabaseLost as exc:
                if once:
                    raise
                self.say(f"lost the database ({exc.__cause__}); trying again in {pause:.0f} s")
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        if once and self._problems:
            raise next(iter(self._problems.values()))
        return total

    def _passes(
        self, connection: Connection, names: Sequence[str], total: Progress, *, once: bool
    ) -> None:
        """Look at the collections again and again."""
        while not self.is_stopped():
            done = self._pass(connection, names, once=once)
            total.add(done)
            if done.n_seen == 0 and once:
                return
            if done.n_seen == 0:
                self._wait(connection)

    def _pass(self, connection: Connection, names: Sequence[str], *, once: bool) -> Progress:
        """Look at each collection once; what cannot be read is said, or kept for the end."""
        total = Progress()
        for source in _chosen(sources.attached(connection), names):
            if self.is_stopped():
                break
            try:
                with engine.wrapped():
                    collection = collections.get(connection, source.collection)
                    total.add(self._drain(connection, source, collection))
                self._problems.pop(source.collection, None)
            except DatabaseLost:
                raise
            except (ExtractorChanged, CollectionNotFound) as exc:
                self.say(f"{exc}: going on")
            except SpocdbError as exc:
                # Of one collection: the others have nothing to do with it.
                if not once and str(self._problems.get(source.collection)) != str(exc):
                    told = "" if isinstance(exc, SourceBroken) else f"{source.collection}: "
                    self.say(f"{told}{exc}")
                self._problems[source.collection] = exc
        return total

    def _drain(self, connection: Connection, source: Source, collection: Collection) -> Progress:
        """Bring all rows of a collection that are due to where they belong."""
        progress = Progress()
        if not (queue.take_in(connection, collection) or queue.is_due(connection, collection)):
            return progress
        if source.root is not None and not os.path.isdir(source.root):
            raise SourceBroken(f"{source.collection}: there is no folder {source.root} here")
        # Before anything is leased: without weights it would be leased in vain.
        extractor = self.load_extractor(collection.recipe)
        leases: list[UUID] = []
        try:
            self._bring(connection, source, collection, extractor, leases, progress)
        except BaseException:
            with suppress(SpocdbError), engine.wrapped(), self.connect() as another:
                queue.give_back(another, collection, leases)
            raise
        self._settle(connection, collection)
        return progress

    def _bring(
        self,
        connection: Connection,
        source: Source,
        collection: Collection,
        extractor: "Extractor",
        leases: list[UUID],
        progress: Progress,
    ) -> None:
        """Lease rows, extract and write; `leases` is filled with what was leased."""
        bad: Work | None = None
        with (
            self.connect() as write_connection,
            prefetching(self.options.limits) as prefetch,
            Writer(
                *(_writing_to(write_connection, collection), progress),
                cancel=partial(engine.cancel, write_connection),
            ) as writer,
        ):
            intake = Intake(connection, collection, prefetch, lambda: extractor.decodes_jpegs)
            leased = self._leased(connection, source, collection, leases, writer, progress)
            read = prefetch.read(
                partial(read_leased, source), leased, lambda leased: leased[1].size, intake.needs
            )
            for works, descriptors in extract(
                intake.works(read), OnDemand(lambda: extractor), self.options.batch_size, progress
            ):
                outcome = outcome_of(works, descriptors, self.options.backoff)
                writer.submit(outcome, partial(intake.written, intake.hand_over(works)))
                count(progress, works)
                progress.n_failed -= len(outcome.retried)
                bad = bad or next((work for work in works if work.error), None)
            writer.finish()
        reason = f", such as: {bad.error}" if bad else ""
        self.say(f"{collection.name}: {_told(progress)}{reason}")

    def _settle(self, connection: Connection, collection: Collection) -> None:
        """Let the collection have its first PCA, if this role may and no other worker does."""
        if not self.is_stopped() and rights.is_owner(connection):
            with collections.alone(connection, collection) as is_alone:
                if is_alone:
                    fit.settle(connection, self.connect, collection, say=self.say)

    def _leased(
        self,
        connection: Connection,
        source: Source,
        collection: Collection,
        leases: list[UUID],
        writer: Writer[Outcome],
        progress: Progress,
    ) -> Iterator[tuple[LeasedRow, SourceRow]]:
        """Lease rows while there are any; those that do not belong any more go to the writer.

        After a while it is the turn of the other collections.
        """
        n_rows = LEASED_AT_ONCE[source.kind]
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            lease = uuid4()
            leases.append(lease)
            attempts = queue.lease(connection, collection, lease, n_rows, self.options.visibility)
            if not attempts:
                if queue.take_in(connection, collection):
                    continue
                return
            progress.n_seen += len(attempts)
            limits, left = self.options.limits, dict(attempts)
            for row in sources.rows_in_parts(
                *(connection, collection, list(attempts), limits.max_bytes),
                most_at_once=limits.memory // ROWS_PART_OF_MEMORY,
            ):
                n = left.pop(row.key)
                yield LeasedRow(row.key, 0, 0, lease, n, row.metadata), row
            if gone := [LeasedRow(key, 0, 0, lease, n, {}) for key, n in left.items()]:
                progress.n_pruned += len(gone)
                writer.submit(Outcome(gone=gone))

    def _wait(self, connection: Connection) -> None:
        """Wait for a notification, or until it is time to look."""
        for seconds in self._slices(self.options.poll):
            if any(connection.notifies(timeout=seconds, stop_after=1)):
                return

    def _sleep(self, seconds: float) -> None:
        for slice_ in self._slices(seconds):
            time.sleep(slice_)

    def _slices(self, seconds: float) -> Iterator[float]:
        """Yield short times that add up to it, fewer when stopped."""
        until = time.monotonic() + seconds
        while not self.is_stopped() and (left := until - time.monotonic()) > 0:
            yield min(left, SECONDS_BETWEEN_LOOKS)


def _chosen(attached: Sequence[Source], names: Sequence[str]) -> list[Source]:
    known = [source.collection for source in attached]
    if missing := [name for name in names if name not in known]:
        raise CollectionNotFound(
            f"no table is attached as {', '.join(missing)}; there are: {', '.join(known) or 'none'}"
        )
    return [source for source in attached if not names or source.collection in names]


def _writing_to(connection: Connection, collection: Collection) -> Callable[[Outcome], None]:
    batches.prepare(connection)
    projected = projecting(connection)
    return lambda outcome: queue.write(connection, collection, outcome, projected)


def _told(progress: Progress) -> str:
    later = progress.n_seen - progress.n_done - progress.n_pruned
    counts = {
        "new": progress.n_new,
        "known": progress.n_reused,
        "gone": progress.n_pruned,
        "failed": progress.n_failed,
        "to be tried again": later,
    }
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing to do"
