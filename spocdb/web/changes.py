"""Changes that take minutes: each runs in a thread of its own, as long as it takes.

An activation may embed all images and build an index; duplicates are looked for among all images;
a calibration changes and embeds hundreds.
So a change has connections of its own, without the time limit of requests, and whoever asked for it
is answered meanwhile. It goes on when nobody asks any more.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Any, Generic, TypeVar

from fastapi import Request, Response

from spocdb.api import Database, Engine, Settings
from spocdb.errors import SpocdbError
from spocdb.web import problems
from spocdb.web.notes import told

# Quick changes are answered with their result, others go on after the answer.
SECONDS_TO_ANSWER = 1.5
# How long a server that was stopped waits for the end of a change.
SECONDS_TO_STOP = 4.0

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a change is: the step that it is in, how many images are done, and how many due."""

    at: tuple[str, int, int] = ("", 0, 0)
    is_stopped: Callable[[], bool] = lambda: False

    def tell(self, step: str, n_done: int, n_due: int) -> None:
        """Note how far it is.

        Raises:
            SpocdbError: the server was stopped, which ends the change here.
        """
        if self.is_stopped():
            raise SpocdbError("the server was stopped")
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
            progress = progress or Progress()
            progress.is_stopped = self._stopped.is_set
            change = Change[T](collection, progress)
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

    def cancel(self) -> None:
        """Begin no other change, and end the one that runs where it next tells how far it is."""
        self._stopped.set()

    def stop(self) -> None:
        """Cancel the change that runs, and wait for its end, but not long."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_STOP)


def begun(
    response: Response,
    changes: Changes[T],
    collection: str,
    action: Callable[[Database], T],
    busy: problems.Refusal,
    progress: Progress | None = None,
) -> Change[T]:
    """Begin a change, and return it once it has ended or takes longer than a moment: then 202.

    Raises:
        Refusal: `busy`, if another change of this kind runs.
        SpocdbError: the change failed at once.
    """
    change = changes.begin(collection, action, progress)
    if change is None:
        raise busy
    try:
        # What cannot be done is refused at once.
        change.result.result(SECONDS_TO_ANSWER)
    except TimeoutError:
        response.status_code = 202
    return change


def state_of(request: Request, change: Change[Any]) -> dict[str, Any]:
    """Return what is told of a change of any kind: its state, what was said, and when."""
    state: dict[str, Any] = {
        "collection": change.collection,
        "state": "running",
        "said": change.said,
        "began_at": change.began_at,
        "ended_at": change.ended_at,
    }
    if not change.result.done():
        return state
    if (error := change.result.exception()) is None:
        return state | {"state": "done"}
    return state | {"state": "failed", "said": problems.said_of(request, error)}
