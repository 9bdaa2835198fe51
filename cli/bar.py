"""The bar of a long command on a terminal. Only a terminal waits for rich, which draws it."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

# Width of the bar on a narrow terminal and on others, so that count and time fit beside it.
NARROW, SHORT_BAR, LONG_BAR = 80, 10, 30
# Width of the remaining time and of the blanks between the parts.
REST_OF_BAR = 12


class Bar(Progress):
    """A bar on stderr with a count, the time that is left, and words."""

    def __init__(self, words: str) -> None:
        console = Console(stderr=True, highlight=False, emoji=False)
        self._width = SHORT_BAR if console.width < NARROW else LONG_BAR
        super().__init__(
            BarColumn(self._width),
            TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[words]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="crop"),
            ),
            console=console,
            transient=True,
        )
        self._task = self.add_task("", total=None, count="", words=words)
        self.start()

    def show(self, n: int, total: int | None, count: str, words: Callable[[int], str]) -> None:
        """Show n of a total, if that is known; `words` returns what fits into a width."""
        width = self.console.width - self._width - len(count) - REST_OF_BAR
        self.update(self._task, completed=n, total=total, count=count, words=words(width))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, markup=False, soft_wrap=True)
