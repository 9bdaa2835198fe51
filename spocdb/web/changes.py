"""Changes that take minutes: each runs in a thread of its own, as long as it takes.

An activation may embed all images and build an index; duplicates are looked for among all images.
So a change has connections of its own, without the time limit of requests, and whoever asked for it
is answered meanwhile. It goes on when nobody asks any more.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from spocdb.api import Database, Engine, Settings
from spocdb.errors import SpocdbError
from spocdb.web.notes import told

# How long a server that was stopped waits for the end of a change.
SECONDS_TO_STOP = 4.0

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a change is: the step that it is in, how many images are done, and how many due."""

    at: tuple[str, int, int] = ("", 0, 0)

    def tell(self, step: str, n_done: int, n_due: int) -> None:
        """Note how far it is."""
        self.at = step, n_done, n_due


class Change(Generic[T]):
    """A change that runs or has ended.

    Attributes:
        collection: what it changes.
        progress: how far it is, if it counts.
        said: what the library logged last about it.
        began_at: when it began.
        ended_at: when it ended; None while it runs.
        result: what it returned, or an error.
    """

    def __init__(self, collection: str, progress: Progress) -> None:
        self.collection, self.progress, self.said = collection, progress, ""
        self.began_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self.result: Future[T] = Future()

    def run(
        self, action: Callable[[Database], T], settings: Settings, is_stopped: Callable[[], bool]
    ) -> None:
        """Make the change."""
        try:
            with told(self._hear), Engine(settings) as engine, engine.looked_after(is_stopped):
                found = action(Database(engine))
        except Exception as error:
            # After the answer 202 nobody may ask how it went.
            if isinstance(error, SpocdbError):
                log.warning("the change of %s failed: %s", self.collection, error)
            else:
                log.exception("the change of %s failed", self.collection)
            self.ended_at = datetime.now(UTC)
            self.result.set_exception(error)
        else:
            self.ended_at = datetime.now(UTC)
            self.result.set_result(found)

    def _hear(self, message: str) -> None:
        self.said = message


class Changes(Generic[T]):
    """The changes of a kind in one server: one at a time, because each takes much memory.

    Args:
        settings: of the database. An engine of these has no limit of time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock, self._stopped = settings, Lock(), Event()
        self._last: dict[str, Change[T]] = {}
        self._running: Change[T] | None = None
        self._thread: Thread | None = None

    def begin(
        self, collection: str, action: Callable[[Database], T], progress: Progress | None = None
    ) -> Change[T] | None:
        """Begin a change and return it; None while another one runs.

        The action makes it, and notes in `progress` how far it is.
        """
        with self._lock:
            if self.running is not None or self._stopped.is_set():
                return None
            change = Change[T](collection, progress or Progress())
            # A daemon: if the process ends first, the same change made again goes on.
            self._thread = Thread(
                target=change.run,
                args=(action, self._settings, self._stopped.is_set),
                name="change",
                daemon=True,
            )
            self._thread.start()
            self._last[collection] = self._running = change
        return change

    @property
    def running(self) -> Change[T] | None:
        """Return the change that runs, if one does."""
        is_over = self._running is None or self._running.result.done()
        return None if is_over else self._running

    def last(self, collection: str) -> Change[T] | None:
        """Return the latest change of a collection, if there was one."""
        return self._last.get(collection)

    def stop(self) -> None:
        """Cancel the change that runs, and wait for its end, but not long."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_STOP)
