"""The progress of a long command: a bar on a terminal, otherwise a line now and then."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from spocdb.errors import SpocdbError
from spocdb.progress import Progress, Stage
from spocdb.sources.kinds import told
from spocdb.text import written_out

from .output import counted, is_quiet, talk
from .translation import in_commands

if TYPE_CHECKING:
    from .bar import Bar

# Without a terminal: between lines, once images are done and before.
SECONDS_BETWEEN_LINES, SECONDS_OF_WAITING = 10.0, 30.0
SECONDS_BETWEEN_LOOKS = 0.25
STEPS: dict[Stage, str] = {
    "decode": "reading images",
    "network": "computing descriptors",
    "write": "writing to the database",
}


class Display:
    """Shows progress towards the total that `count` returns; `say` prints a line above the bar.

    Without a total it shows only how many are done.

    It polls the Progress four times a second, so that the work need not report each image.
    """

    def __init__(self, count: Callable[[], int | None], doing: str = "starting") -> None:
        self._count, self._doing = count, doing
        self._progress: Progress | None = None
        self._n_shown = 0
        self._total: int | None = None
        self._counting: threading.Thread | None = None
        self._closed = threading.Event()
        self._bar = _bar(doing)
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def doing(self, what: str) -> None:
        """Show the current step while no image is done."""
        self._doing = what
        self._show()

    def update(self, progress: Progress) -> None:
        """Show these counts from now on, as they grow."""
        if self._progress is None and self._bar:
            # Counting the total must not delay the work.
            self._begin_to_count()
        self._progress = progress
        self._show()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if not self._bar:
            talk(line)
            return
        # As in `complain`: a full stderr must not stop the work.
        with suppress(OSError):
            self._bar.say(written_out(in_commands(line)))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hide the bar while a question is asked."""
        if self._bar:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar:
                self._bar.start()

    def close(self, *, is_error: bool = False) -> None:
        """Remove the bar and print the summary, once."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._ticker.join()
        if self._bar:
            self._bar.stop()
        # A run that ended before its first file needs no summary: its error says enough.
        is_done = self._progress and self._progress.seconds and not is_error
        if self._progress and (self._progress.n_seen or is_done):
            self.say(_summary(self._progress))
            if left_out := told(self._progress.left_out):
                self.say(f"left out: {left_out}")

    def _tick(self) -> None:
        said = time.monotonic()
        while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            if self._bar:
                self._show()
            elif time.monotonic() - said > self._pause():
                said = time.monotonic()
                self._begin_to_count()
                self.say(self._line())

    def _pause(self) -> float:
        is_under_way = self._progress and self._progress.n_shown
        return SECONDS_BETWEEN_LINES if is_under_way else SECONDS_OF_WAITING

    def _show(self) -> None:
        if self._bar:
            count = self._counts()
            self._bar.show(self._n_shown, self._total, count, self._words)

    def _counts(self) -> str:
        """Return "12/150"; the shown count never decreases."""
        if self._progress:
            self._n_shown = max(self._n_shown, self._progress.n_shown)
        return f"{self._n_shown:,}/{'?' if self._total is None else f'{self._total:,}'}"

    def _words(self, width: int) -> str:
        """Return the text beside the count, as much as fits."""
        parts = self._parts()
        if not self._n_shown:
            # Cut it rather than drop it: nothing else is shown.
            return parts[0][: max(width, 0)]
        while parts and len(", ".join(parts)) > width:
            parts.pop()
        return ", ".join(parts)

    def _parts(self) -> list[str]:
        """Return the parts of the text, the most important first."""
        now = self._progress
        if not now:
            return [self._doing]
        if not self._n_shown or now.doing:
            return [now.doing or "waiting for the first image"]
        failed = f"{now.n_failed:,} failed" if now.n_failed else ""
        seconds = time.monotonic() - now.began
        rate = f"{now.n_stored / seconds:.1f} images/s" if now.n_stored else ""
        return [part for part in (failed, rate, _slowest(now)) if part]

    def _line(self) -> str:
        """Return the progress as a line."""
        if not self._progress:
            return self._parts()[0]
        count = f"{self._counts()} images"
        return ", ".join((count, *self._parts()))

    def _begin_to_count(self) -> None:
        if self._counting is None:
            self._counting = threading.Thread(target=self._find_total, daemon=True)
            self._counting.start()

    def _find_total(self) -> None:
        try:
            self._total = self._count()
        except SpocdbError:
            return  # the work itself says what is wrong


def _bar(words: str) -> "Bar | None":
    """Return a bar on a terminal, without one None."""
    if is_quiet() or not sys.stderr.isatty():
        return None
    from .bar import Bar

    return Bar(words)


def _slowest(progress: Progress) -> str:
    return f"slowest step: {STEPS[progress.limited_by]}" if progress.n_stored else ""


def _summary(progress: Progress) -> str:
    if progress.n_pruned and not progress.n_seen:
        return f"{counted(progress.n_pruned, 'image')} pruned, as their files are gone"
    counts = {
        "new": progress.n_new,
        "already known": max(0, progress.n_reused - progress.n_moved),
        "moved": progress.n_moved,
        "queued": progress.n_enqueued,
        "in the queue already": progress.n_waiting,
        "unchanged": progress.n_unchanged,
        "failed": progress.n_failed,
        "pruned": progress.n_pruned,
    }
    shown = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n) or "none"
    rate = ""
    if progress.n_stored:
        rate = f"; {progress.per_second:.1f} images/s, {_slowest(progress)}"
    return f"{counted(progress.n_seen, 'image')}: {shown}{rate}"
