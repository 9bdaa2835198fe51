"""The worker: it takes what is in the queue in turn until stopped, and answers queries.

    changes, references -> queue -> a turn at each collection (spocdb/turns.py) -> wait for more
    queries -> answers, in a thread (spocdb/answering.py)

Extraction runs outside any transaction. If a worker is killed, its leases expire and others take
the rows. If it is stopped, it finishes its rows, unless the server does not answer.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from spocdb import duplicates
from spocdb import projections as fitting
from spocdb.answering import Answers
from spocdb.db import attachments, collections, connections, queue, rights, spaces, thumbnails
from spocdb.db.attachments import Attached
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.waiting import notification, sleep
from spocdb.db.watching import Watch
from spocdb.errors import (
    CollectionNotFound,
    DatabaseLost,
    ExtractorChanged,
    ImageError,
    SourceBroken,
    SpocdbError,
)
from spocdb.feeds import WorkerOptions
from spocdb.progress import Progress
from spocdb.records import Recipe
from spocdb.sources.locations import is_here
from spocdb.sources.source import Terms
from spocdb.turns import SECONDS_A_TURN, Turn, take_in

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)

__all__ = ["Worker", "WorkerOptions"]

# The back-off between reconnections doubles from the first to the second.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Fed:
    """A collection that workers fill: from the table that is attached to it, or by references."""

    collection: str
    attached: Attached | None

    def __str__(self) -> str:
        told = f"table {self.attached.relation}" if self.attached else "references"
        return f"{self.collection} ({told})"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of one database; `connect` opens a connection to it.

    `load_for_queries` loads the network in float32, as `Database.search` does. References are read
    on `terms`.
    """

    connect: Callable[[], Connection]
    load_extractor: "Callable[[Recipe], Extractor]"
    load_for_queries: "Callable[[Recipe], Extractor]"
    options: WorkerOptions
    is_stopped: Callable[[], bool] = lambda: False
    terms: Terms = field(default_factory=Terms)
    # The last error of each collection, so that it is logged once.
    _problems: dict[str, SpocdbError] = field(default_factory=dict)
    # The collections that were last logged as worked on: no entry before the first time.
    _introduced: list[list[Fed]] = field(default_factory=list)
    # Leases of turns that ended early, to be released on the next connection.
    _owed: list[tuple[Collection, list[UUID]]] = field(default_factory=list)

    def run(self, names: Sequence[str] = (), *, once: bool = False) -> Progress:
        """Work on the queue, of all collections or those named, and on queries, until stopped.

        A lost connection is reopened with back-off. With `once` the run ends when nothing is due;
        queries are answered before the first row.

        Raises:
            CollectionNotFound: A name is of no collection.
            DatabaseError: The role has not the rights of a worker.
            DatabaseLost: With `once`, the connection was lost.
            SourceBroken: With `once`, at the end, a table could not be read.
        """
        total, pause = Progress(), SHORTEST_PAUSE
        with Watch(self.connect, self.is_stopped) as watch:
            while not self.is_stopped():
                try:
                    with connections.wrapped(), watch.open() as connection:
                        pause = SHORTEST_PAUSE
                        rights.check_worker(connection)
                        self._give_back(connection)
                        thumbnails.delete_left(connection)
                        connection.execute(f"LISTEN {queue.CHANNEL}")
                        with self._answers() as answers:
                            if once:
                                answers.give_due(connection)
                            else:
                                answers.start(watch)
                            self._passes(connection, watch, names, total, answers, once=once)
                        break
                except DatabaseLost as exc:
                    if once:
                        raise
                    if self.is_stopped():
                        break
                    log.warning(
                        "lost the database (%s); trying again in %.0f s", exc.__cause__, pause
                    )
                    sleep(pause, self.is_stopped)
                    pause = min(2 * pause, LONGEST_PAUSE)
        if once and self._problems:
            raise next(iter(self._problems.values()))
        return total

    def _answers(self) -> Answers:
        options = self.options
        return Answers(self.load_for_queries, options.limits, options.poll, self.is_stopped)

    def _passes(
        self,
        connection: Connection,
        watch: Watch,
        names: Sequence[str],
        total: Progress,
        answers: Answers,
        *,
        once: bool,
    ) -> None:
        """Process all collections repeatedly."""
        while not self.is_stopped():
            answers.check()
            chosen = _chosen(connection, names)
            self._introduce(chosen, once=once)
            is_busy = self._pass(connection, watch, chosen, total, once=once)
            if not is_busy and once:
                return
            if not is_busy:
                notification(connection, self.options.poll, self.is_stopped)

    def _introduce(self, chosen: list[Fed], *, once: bool) -> None:
        """Log what is worked on, at the start and whenever it changes."""
        if [chosen] == self._introduced:
            return
        if chosen:
            log.info("working on %s", ", ".join(map(str, chosen)))
        elif not once:
            log.info("no table is attached, and nothing is queued: answering queries")
        self._introduced[:] = [chosen]

    def _pass(
        self,
        connection: Connection,
        watch: Watch,
        chosen: list[Fed],
        total: Progress,
        *,
        once: bool,
    ) -> bool:
        """Process each collection once, and return whether one had work.

        An error is logged, or with `once` kept for the end. What was leased until then is given
        back and due again, so that it does not count as work.
        """
        is_busy = False
        for fed in chosen:
            if self.is_stopped():
                break
            done = Progress()
            try:
                with connections.wrapped():
                    collection = collections.get(connection, fed.collection)
                    self._drain(connection, watch, fed.attached, collection, done)
                    until = time.monotonic() + SECONDS_A_TURN
                    is_over = partial(self._is_over, until)
                    duplicates.catch_up(
                        connection, spaces.searched(connection, collection), is_over
                    )
                self._problems.pop(fed.collection, None)
            except DatabaseLost:
                raise
            except (ExtractorChanged, CollectionNotFound) as exc:
                log.warning("%s: going on", exc)
            except SpocdbError as exc:
                if self.is_stopped():
                    break  # the statement was cancelled because the worker is stopped
                # The error concerns one collection: continue with the others.
                if not once and str(self._problems.get(fed.collection)) != str(exc):
                    told = "" if isinstance(exc, SourceBroken) else f"{fed.collection}: "
                    about = {"collection": fed.collection, "code": exc.code}
                    log.warning("%s%s", told, exc, extra=about)
                self._problems[fed.collection] = exc
                continue
            finally:
                total.add(done)
            is_busy |= done.n_seen > 0
        return is_busy

    def _drain(
        self,
        connection: Connection,
        watch: Watch,
        attached: Attached | None,
        collection: Collection,
        done: Progress,
    ) -> None:
        """Embed all rows or references of a collection that are due."""
        n_taken = take_in(connection, collection, done, self.is_stopped)
        if not (n_taken or queue.is_due(connection, collection)):
            return
        if attached and attached.root is not None and not is_here(attached.root):
            raise SourceBroken(f"{attached.collection}: there is no folder {attached.root} here")
        # Load before leasing: without weights the leases would be useless.
        extractor = self.load_extractor(collection.recipe)
        with self._leases(watch, collection) as leases, watch.open() as write_connection:
            turn = Turn(
                *(connection, write_connection, attached, self.terms, collection, extractor),
                *(self.options, self.is_stopped, leases),
            )
            turn.take(done, partial(_log, collection))
        self._settle(connection, collection)

    def _is_over(self, until: float) -> bool:
        return self.is_stopped() or time.monotonic() > until

    @contextmanager
    def _leases(self, watch: Watch, collection: Collection) -> Iterator[list[UUID]]:
        """Collect leases; if the block raises, release them for other workers."""
        leases: list[UUID] = []
        try:
            yield leases
        except BaseException:
            self._owed.append((collection, leases))
            # If that fails, they are released on the next connection, or expire.
            with suppress(SpocdbError), connections.wrapped(), watch.open() as another:
                self._give_back(another)
            raise

    def _give_back(self, connection: Connection) -> None:
        """Release the leases of turns that ended early."""
        while self._owed:
            queue.give_back(connection, *self._owed[-1])
            self._owed.pop()

    def _settle(self, connection: Connection, collection: Collection) -> None:
        """Fit the collection's first PCA, if this role may and no other worker does."""
        if not self.is_stopped() and rights.is_owner(connection):
            with collections.try_exclusive(connection, collection) as is_exclusive:
                if is_exclusive:
                    fitting.settle(connection, self.connect, collection)


def _chosen(connection: Connection, names: Sequence[str]) -> list[Fed]:
    """Return the collections to work on: those with a table, then those with references."""
    fed = [Fed(table.collection, table) for table in attachments.attached(connection)]
    fed += [Fed(name, None) for name in queue.referring(connection)]
    # References of a named collection may come later.
    for name in names:
        collections.get(connection, name)
    return [one for one in fed if not names or one.collection in names]


def _log(collection: Collection, done: Progress, bad: ImageError | None) -> None:
    counts = {
        "new": done.n_new,
        "known": done.n_reused,
        "unchanged": done.n_unchanged,
        "gone": done.n_pruned,
        "failed": done.n_failed,
        "to be tried again": done.n_seen - done.n_done - done.n_pruned,
    }
    told = ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing to do"
    example = f", such as: {bad}" if bad else ""
    about = {"collection": collection.name, "n_new": done.n_new, "n_failed": done.n_failed}
    log.info("%s: %s%s", collection.name, told, example, extra=about)
