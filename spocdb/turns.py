"""A worker's turn at one collection: embed the rows or references that are due.

    queue -> lease -> row or archive, its images -> decode -> network -> write, end the lease

Rows that were leased when a worker died are suspects. They are leased last and one at a time, while
the process has no other work, so that a crash affects no other row.
"""

import sys
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
from spocdb.feeds import Feed, WorkerOptions, judged_images, references_feed, rows_feed
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.options import Options
from spocdb.pipeline.run import run
from spocdb.progress import Progress
from spocdb.sinks import RowsSink
from spocdb.sources.source import Terms

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# The longest turn of a collection while others wait.
SECONDS_A_TURN = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A worker's turn at a collection; `leases` collects those that it may still hold.

    `connection` leases entries, `write_connection` writes them. They are rows of the table that is
    `attached`; without one, references, which are read on `terms`.
    """

    connection: Connection
    write_connection: Connection
    attached: Attached | None
    terms: Terms
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
        """Lease entries, extract and write them; return the first error, if any, as a list."""
        feed, options = self._feed(progress), self.options
        sink = RowsSink(
            *(self.connection, self.write_connection, self.collection, progress),
            feed.rules,
            self.is_stopped,
        )
        run(
            feed.source,
            judged_images(feed, self._leased(feed, progress, is_alone)),
            OnDemand(self.collection.recipe, lambda: self.extractor),
            sink,
            Options(options.limits, options.batch_size, thumbnails=options.thumbnails),
            progress,
            lambda progress: feed.keep(),
            self._caution(is_alone),
        )
        feed.close()
        progress.refuse(sink.n_refused)
        return [sink.first_error] if sink.first_error else []

    def _feed(self, progress: Progress) -> Feed:
        if self.attached is not None:
            return rows_feed(
                self.connection, self.collection, self.attached, progress, self.options
            )
        return references_feed(
            *(self.connection, self.collection, self.terms, progress, self.options),
            self.is_stopped,
        )

    def _caution(self, is_alone: bool) -> Caution | None:
        """Return None, or decode apart what is left of an archive that workers were lost with."""
        return Caution(sys.maxsize) if is_alone and self.attached is None else None

    def _leased(self, feed: Feed, progress: Progress, is_alone: bool) -> Iterator[LeasedRef]:
        """Lease entries while there are any and the turn lasts; with `is_alone` one suspect."""
        until = time.monotonic() + SECONDS_A_TURN
        while not self.is_stopped() and time.monotonic() < until:
            lease = uuid4()
            self.leases.append(lease)
            found = queue.lease(
                *(self.connection, self.collection, lease),
                *(1 if is_alone else feed.at_once, self.options.visibility),
                alone=is_alone,
            )
            yield from found
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
