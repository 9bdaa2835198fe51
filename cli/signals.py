"""SIGTERM and Ctrl-C: every command ends within seconds, whatever it waits for.

The first signal interrupts the command; a batch that is being written is finished if that is quick.
The main thread may be stuck in a system call, where Python runs no handler. So a second thread
watches: it ends the process some seconds later, or at once on a second signal. PostgreSQL rolls
back what was not committed.
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

# From the interruption to the end of the process.
SECONDS_TO_END = 5.0
# For commands that finish their current work on the first signal; they are interrupted after this
# time. Both times together are less than what `docker stop` and systemd wait.
SECONDS_TO_STOP = 4.0


class Watch:
    """Records that a signal came, and makes sure that the process ends."""

    def __init__(self) -> None:
        self.came = False
        self.is_graceful = False

    def install(self) -> None:
        """Handle both signals from now on. Only the main thread can call it."""
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        # C code writes to it at once, even while the main thread is stuck in a system call.
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Keep a signal ignored that the parent ignores, such as a shell for a background job.
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
        end(say="interrupted; the pending operation was abandoned")


watch = Watch()


class Interruptible(TyperGroup):
    """Commands that print that they were interrupted, unless they print more themselves."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with interruptible("nothing more was done"):
            return super().invoke(ctx)


@contextmanager
def ending_soon() -> Iterator[None]:
    """Handle signals in the block, which is the whole program."""
    watch.install()
    sys.unraisablehook = _unraisable
    try:
        yield
    except SystemExit as exc:
        if watch.came:
            # Otherwise Python would wait for threads that hang. Typer turns Ctrl-C into code 1.
            end(exc.code if isinstance(exc.code, int) and exc.code != 1 else INTERRUPTED)
        raise


@contextmanager
def graceful() -> Iterator[None]:
    """Leave the first signal in the block to the block's own handler."""
    watch.is_graceful = True
    try:
        yield
    finally:
        watch.is_graceful = False


def end(code: int = INTERRUPTED, say: str | None = None) -> None:
    """End the process now, without waiting for any thread."""
    # Writing may block too, such as into a full pipe.
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


def _unraisable(lost: Any) -> None:
    """Print an exception that cannot be raised, unless it is an interruption.

    Ctrl-C in a finalizer, or in C code that calls Python, is lost. The watching thread ends the
    process some seconds later.
    """
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    watch.came = True
    raise KeyboardInterrupt
