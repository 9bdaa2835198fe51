"""Long commands: show their progress, and handle an interruption."""

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
def display(count: Callable[[], int | None], doing: str = "starting") -> "Iterator[Display]":
    """Show the progress of a run over images; on an interruption print a line and exit."""
    from .logs import voice
    from .progress import Display

    shown = Display(count, doing)
    try:
        with (
            voice(shown.say),
            interruptible("what was written stays; run the same command to continue", shown.close),
        ):
            yield shown
    except Exception:
        shown.close(is_error=True)
        raise
    finally:
        shown.close()


@contextmanager
def interruptible(what_now: str, before: Callable[[], None] = lambda: None) -> Iterator[None]:
    """On Ctrl-C call `before`, print `what_now` and exit."""
    try:
        yield
    except KeyboardInterrupt:
        before()
        talk(f"interrupted; {what_now}")
        raise typer.Exit(INTERRUPTED) from None
