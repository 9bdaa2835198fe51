"""A long command while it runs: how far it is, and what an interruption means."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from .output import talk

if TYPE_CHECKING:
    from .progress import Display

FINISHED_WITH_FAILURES = 3
INTERRUPTED = 130


@contextmanager
def display(count: Callable[[], int], doing: str = "starting") -> "Iterator[Display]":
    """Show the progress of a run over images; interrupted, it says so and exits."""
    from .logs import voice
    from .progress import Display

    shown = Display(count, doing)
    try:
        with (
            voice(shown.say),
            interruptible("what was written stays, and the same command goes on", shown.close),
        ):
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
