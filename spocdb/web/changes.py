"""Changes of the active projection: each runs in a thread of its own, as long as it takes.

An activation may embed all images and build an index, which takes minutes. So it has connections
of its own, without the time limit of requests, and whoever asked for it is answered meanwhile.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Event, Lock, Thread

from spocdb.api import Database, Engine, Settings
from spocdb.errors import SpocdbError
from spocdb.web.notes import told

# How long a server that was stopped waits for the end of a change.
SECONDS_TO_STOP = 4.0

# Makes a change and returns the number of the projection that is active then.
Action = Callable[[Database], int]

log = logging.getLogger(__name__)


class Change:
    """A change that runs or has ended.

    Attributes:
        collection: whose active projection it changes.
        said: what the library logged last about it.
        began_at: when it began.
        ended_at: when it ended; None while it runs.
        result: the number of the projection that is active then, or an error.
    """

    def __init__(self, collection: str) -> None:
        self.collection, self.said = collection, ""
        self.began_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self.result: Future[int] = Future()

    def run(self, action: Action, settings: Settings, is_stopped: Callable[[], bool]) -> None:
        """Make the change."""
        try:
            with told(self._hear), Engine(settings) as engine, engine.looked_after(is_stopped):
                number = action(Database(engine))
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
            self.result.set_result(number)

    def _hear(self, message: str) -> None:
        self.said = message


class Changes:
    """The changes of one server: one at a time, because an index build takes much memory.

    Args:
        settings: of the database. An engine of these has no limit of time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock, self._stopped = settings, Lock(), Event()
        self._last: dict[str, Change] = {}
        self._running: Change | None = None
        self._thread: Thread | None = None

    def begin(self, collection: str, action: Action) -> Change | None:
        """Begin a change and return it; None while another one runs."""
        with self._lock:
            if self.running is not None or self._stopped.is_set():
                return None
            change = Change(collection)
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
    def running(self) -> Change | None:
        """Return the change that runs, if one does."""
        is_over = self._running is None or self._running.result.done()
        return None if is_over else self._running

    def last(self, collection: str) -> Change | None:
        """Return the latest change of a collection, if there was one."""
        return self._last.get(collection)

    def stop(self) -> None:
        """Cancel the change that runs, and wait for its end, but not long."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_STOP)
