"""A worker's turn at one attached table: embed the rows that are due.

    queue -> lease -> row, its image -> decode -> network -> write, end the lease

Rows that were leased when a worker died are suspects. They are leased last and one at a time, while
the process has no other work, so that a crash affects no other row.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from spocdb.db import queue
from spocdb.db.attachments import Attached
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.queue import LeasedRef
from spocdb.errors import ImageError
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.run import Options, run
from spocdb.progress import Progress
from spocdb.settings import Limits
from spocdb.sinks import RowsSink
from spocdb.sources.rows import RowsSource
from spocdb.verdicts import Rules, judged

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# The longest turn of a collection while others wait.
SECONDS_A_TURN = 60.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to work; times are in seconds.

    A row is leased for `visibility`; without a notification the queue is polled every `poll`. A row
    whose image is missing is retried after `backoff`, which doubles each time. Bytes from a URL
    that are no image are final once the same bytes still come `believed_after` the first time.
    `thumbnails` are stored of the images that are decoded.
    """

    limits: Limits
    visibility: float = 300.0
    poll: float = 5.0
    backoff: float = 5.0
    believed_after: float = 3600.0
    batch_size: int | None = None
    thumbnails: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """A worker's turn at the rows of a table; `leases` collects those that it may still hold.

    `connection` leases rows, `write_connection` writes them.
    """

    connection: Connection
    write_connection: Connection
    attached: Attached
    collection: Collection
    extractor: "Extractor"
    options: WorkerOptions
    is_stopped: Callable[[], bool]
    leases: list[UUID]

    def take(self, total: Progress, on_done: Callable[[Progress, ImageError | None], None]) -> None:
        """Embed the rows that are due, then the suspects; pass the counts to `on_done`."""
        self._bring(total, on_done, [False])
        self._bring(total, on_done, self._while_suspect())

    def _bring(
        self,
        total: Progress,
        on_done: Callable[[Progress, ImageError | None], None],
        rounds: Iterable[bool],
    ) -> None:
        """Embed rows in rounds, each with whether it leases one suspect; pass the counts on."""
        done, bad = Progress(), list[ImageError]()
        try:
            for is_alone in rounds:
                n_before = done.n_seen
                bad += self._extract(done, is_alone)
                if is_alone and done.n_seen == n_before:
                    break  # another worker has leased it
        finally:
            total.add(done)
        if done.n_seen:
            on_done(done, bad[0] if bad else None)

    def _while_suspect(self) -> Iterator[bool]:
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            if not queue.is_due(self.connection, self.collection, alone=True):
                return
            yield True

    def _extract(self, progress: Progress, is_alone: bool) -> list[ImageError]:
        """Lease rows, extract and write them; return the first error, if any, as a list."""
        limits, n_rows = self.options.limits, 1 if is_alone else self._leased_at_once()
        source = RowsSource(self.connection, self.collection, self.attached, limits, n_rows)
        rules = Rules(
            self.attached.kind == "url", self.options.backoff, self.options.believed_after
        )
        sink = RowsSink(
            *(self.connection, self.write_connection, self.collection, progress),
            rules,
            self.is_stopped,
        )
        run(
            source,
            self._leased(n_rows, progress, is_alone),
            OnDemand(self.collection.recipe, lambda: self.extractor),
            sink,
            Options(limits, self.options.batch_size, thumbnails=self.options.thumbnails),
            progress,
        )
        progress.refuse(sink.n_refused)
        return [sink.first_error] if sink.first_error else []

    def _leased_at_once(self) -> int:
        """Return how many rows are leased at once.

        Few, because the rows of a dead worker wait until their leases expire, and a worker stops
        sooner. URLs are slow to fetch, and bytes are held in memory together, so they get lower
        numbers than paths.
        """
        limits = self.options.limits
        most = {"path": limits.ahead, "url": 2 * limits.threads, "bytes": min(limits.ahead, 16)}
        return most[self.attached.kind]

    def _leased(self, n_rows: int, progress: Progress, is_alone: bool) -> Iterator[LeasedRef]:
        """Lease rows while there are any and the turn lasts; with `is_alone` one suspect row."""
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            lease = uuid4()
            self.leases.append(lease)
            found = queue.lease(
                *(self.connection, self.collection, lease, n_rows, self.options.visibility),
                alone=is_alone,
            )
            progress.n_seen += len(found)
            yield from map(judged, found)
            if is_alone or not (
                found or take_in(self.connection, self.collection, progress, self.is_stopped)
            ):
                return


def take_in(
    connection: Connection,
    collection: Collection,
    progress: Progress,
    is_stopped: Callable[[], bool],
) -> int:
    """Move noted changes into the queue; return how many rows became due, count the failed."""
    n_rows, n_failed = queue.take_in(connection, collection, is_stopped)
    progress.n_seen += n_failed
    progress.n_failed += n_failed
    return n_rows
