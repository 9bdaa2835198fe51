"""The writer thread, at most a few batches behind the network."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager

from spocdb.progress import Progress, waiting

# One batch is being written while another waits.
WRITES_AHEAD = 2
# Seconds that an interrupted run waits for the queued batches, and then for the cancellation.
SECONDS_TO_FINISH, SECONDS_TO_CANCEL = 2.0, 1.0


# Writes one batch.
Write = Callable[[], None]
Told = Callable[[], None]


class Writer(AbstractContextManager["Writer"]):
    """A thread that writes batches in order; `cancel` ends its running statement."""

    def __init__(self, progress: Progress, cancel: Callable[[], None]) -> None:
        self._progress, self._cancel = progress, cancel
        self._thread = ThreadPoolExecutor(1, "write")
        self._pending: deque[tuple[Future[None], Told, Told]] = deque()

    def submit(
        self, write: Write, on_written: Told = lambda: None, on_lost: Told = lambda: None
    ) -> None:
        """Queue a batch for writing; wait while the queue is full.

        One of the functions is called for each batch, at the latest at the end.
        """
        with waiting(self._progress, "write"):
            future = self._thread.submit(self._timed, write)
            self._pending.append((future, on_written, on_lost))
            while len(self._pending) > WRITES_AHEAD or self._is_first_done():
                self._wait_for_first()

    def finish(self) -> None:
        """Wait until all is written."""
        with waiting(self._progress, "write"):
            while self._pending:
                self._wait_for_first()

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        # On an interruption, finish the queued batches for at most SECONDS_TO_FINISH: the writer
        # may wait for a lock of another session. Then cancel its statement, which rolls the batch
        # back.
        handed_over = [future for future, _, _ in self._pending]
        if kind and wait(handed_over, SECONDS_TO_FINISH).not_done:
            for future in handed_over:
                future.cancel()
            self._cancel()
            wait(handed_over, SECONDS_TO_CANCEL)
        self._thread.shutdown(wait=not kind)
        for future, on_written, on_lost in self._pending:
            is_written = future.done() and not future.cancelled() and not future.exception()
            (on_written if is_written else on_lost)()

    def _is_first_done(self) -> bool:
        return bool(self._pending) and self._pending[0][0].done()

    def _wait_for_first(self) -> None:
        future, on_written, _ = self._pending[0]
        future.result()
        # Remove it only now: if the wait is interrupted, `__exit__` waits for it again.
        self._pending.popleft()
        on_written()

    def _timed(self, write: Write) -> None:
        began = time.monotonic()
        write()
        self._progress.writing += time.monotonic() - began
