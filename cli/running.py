"""A long command while it runs: how far it is, and what an interruption means."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

import typer

from .output import talk

if TYPE_CHECKING:
    from .progress import Display

# Set by the first Ctrl-C or SIGTERM.
_interrupted = Event()

FINISHED_WITH_FAILURES = 3
INTERRUPTED = 130


def interrupt(signum: int, frame: FrameType | None) -> None:
    """End the command like Ctrl-C: a handler of signals."""
    _interrupted.set()
    raise KeyboardInterrupt


def is_interrupted() -> bool:
    """Tell whether the command is about to end: then it waits for no server."""
    return _interrupted.is_set()


@contextmanager
def display(count: Callable[[], int], doing: str = "starting") -> "Iterator[Display]":
    """Show the progress of a run over images; interrupted, it says so and exits."""
    from .progress import Display

    shown = Display(count, doing)
    try:
        with interruptible("what was written stays, and the same command goes on", shown.close):
            yield shown
    finally:
        shown.close()


@contextmanager
def interruptible(what_now: str, before: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let Ctrl-C end the command with a line that says `what_now`, said after `before`."""
    try:
        yield
    except KeyboardInterrupt:
        before()
        talk(f"interrupted; {what_now}")
        raise typer.Exit(INTERRUPTED) from None
