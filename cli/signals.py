"""SIGTERM and Ctrl-C: every command ends in seconds, whatever it waits for.

The first one interrupts: what is being written is finished if that is quick. The main thread may be
stuck in a system call, where Python runs no handler; so another thread watches, ends the process
some seconds later, and at the second signal at once. PostgreSQL rolls back what was not committed.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from typer.core import TyperGroup

from .output import talk
from .running import INTERRUPTED, interruptible

# From the interruption on.
SECONDS_TO_END = 5.0
# For whom the first signal means to finish what is at hand; the process is interrupted afterwards.
# Together with the above less than what `docker stop` and systemd wait.
SECONDS_TO_STOP = 4.0


class Watch:
    """Knows that a signal came, and sees to it that the process ends."""

    def __init__(self) -> None:
        self.came = False
        self.is_graceful = False

    def install(self) -> None:
        """Handle both signals from now on; by the main thread."""
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        # Written to at once by C, even while the main thread is stuck in a system call.
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Ignored by whoever started it, such as a shell that put it into the background.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _interrupt)
        threading.Thread(target=self._watch, args=(readable,), name="signals", daemon=True).start()

    def _watch(self, signals: int) -> None:
        os.read(signals, 1)
        self.came = True
        if self.is_graceful:
            if not _comes(signals, SECONDS_TO_STOP):
                os.kill(os.getpid(), signal.SIGINT)
            os.read(signals, 1)
        _comes(signals, SECONDS_TO_END)
        end(say="interrupted; what it waited for was given up")


watch = Watch()


class Interruptible(TyperGroup):
    """Commands that say that they were interrupted, where they do not say more themselves."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with interruptible("nothing more was done"):
            return super().invoke(ctx)


@contextmanager
def ending_soon() -> Iterator[None]:
    """Let signals end the block, which is the whole program."""
    watch.install()
    try:
        yield
    except SystemExit as exc:
        if watch.came:
            # Threads that hang would be waited for otherwise. 1 is what Typer makes of Ctrl-C.
            end(exc.code if isinstance(exc.code, int) and exc.code != 1 else INTERRUPTED)
        raise


@contextmanager
def graceful() -> Iterator[None]:
    """Let the first signal in the block be an order to stop, which the block handles itself."""
    watch.is_graceful = True
    try:
        yield
    finally:
        watch.is_graceful = False


def end(code: int = INTERRUPTED, say: str | None = None) -> None:
    """End the process now, without waiting for any thread."""
    # Writing may block too, such as into a pipe that nobody reads.
    last = threading.Thread(target=_flush, args=(say,), daemon=True)
    last.start()
    last.join(1.0)
    os._exit(code)


def _flush(say: str | None) -> None:
    with suppress(OSError, ValueError):
        if say:
            talk(say)
        sys.stdout.flush()
        sys.stderr.flush()


def _comes(signals: int, seconds: float) -> bool:
    return bool(select.select([signals], [], [], seconds)[0])


def _interrupt(signum: int, frame: FrameType | None) -> None:
    watch.came = True
    raise KeyboardInterrupt
