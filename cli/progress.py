"""How far a long command is: a bar on a terminal, a line now and then otherwise."""

import sys
import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from spocdb.errors import SpocdbError
from spocdb.progress import Progress

from .output import counted, one_line

SECONDS_BETWEEN_LINES = 10.0


class Display:
    """Shows how far it is, of what `count` returns; `say` puts a line above the bar."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._last: Progress | None = None
        self._said = time.monotonic()
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            self._bar = Bar(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[rest]}", table_column=Column(no_wrap=True)),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, rate="", rest="")
            self._bar.start()
            # The count for the ETA must not hold up the work.
            threading.Thread(target=self._count, args=(count,), daemon=True).start()

    def update(self, progress: Progress) -> None:
        """Show the counts."""
        self._last = progress
        if self._bar:
            self._bar.update(
                self._task,
                completed=progress.n_done,
                rate=f"{progress.per_second:.1f} images/s",
                rest=_rest(progress),
            )
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.say(_line(progress))

    def say(self, line: str) -> None:
        """Say something beside the counts."""
        self._console.print(one_line(line), markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away and sum up, once."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if self._last:
            self.say(_line(self._last))
            self._last = None

    def _count(self, count: Callable[[], int]) -> None:
        try:
            total = count()
        except SpocdbError:
            return  # the work itself says what is wrong
        if bar := self._bar:
            bar.update(self._task, total=total)


def _rest(progress: Progress) -> str:
    failed = f"{progress.n_failed} failed" if progress.n_failed else ""
    return ", ".join(part for part in (failed, _limit(progress)) if part)


def _limit(progress: Progress) -> str:
    return f"limited by the {progress.limited_by} stage" if progress.n_stored else ""


def _line(progress: Progress) -> str:
    counts = {
        "new": progress.n_new,
        "reused": progress.n_reused,
        "unchanged": progress.n_unchanged,
        "failed": progress.n_failed,
        "pruned": progress.n_pruned,
    }
    shown = ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "none"
    rate = ""
    if progress.n_stored:
        rate = f"; {progress.per_second:.1f} images/s, {_limit(progress)}"
    return f"{counted(progress.n_seen, 'image')}: {shown}{rate}"
