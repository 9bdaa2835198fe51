"""Tables: columns as wide as needed, shortened to fit a terminal."""

import shutil
import sys
from collections.abc import Sequence

from spocdb.text import written_out

# The least width to which a text is shortened on a narrow terminal.
LEAST_WIDTH = 16


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in aligned columns; numbers to the right.

    On a narrow terminal the widest texts are shortened; if that is not enough, each row is printed
    as lines of name and value. Piped output is never shortened.
    """
    cells = [[written_out(str(cell)) for cell in row] for row in rows]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    if sys.stdout.isatty():
        fitted = fit_widths(widths, right, shutil.get_terminal_size().columns)
        if fitted is None:
            _print_records(header, cells)
            return
        widths = fitted
    for line in ([*header], *cells):
        padded = [
            _pad(shorten(cell, width), width, number)
            for cell, width, number in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def fit_widths(widths: Sequence[int], right: Sequence[bool], columns: int) -> list[int] | None:
    """Return widths of columns that fit a terminal; None if texts would become too short."""
    fitted = [*widths]
    texts = [i for i, is_number in enumerate(right) if not is_number]
    for _ in range(sum(fitted) + 2 * (len(fitted) - 1) - columns):
        widest = max(texts, key=fitted.__getitem__, default=None)
        if widest is None or fitted[widest] <= LEAST_WIDTH:
            return None
        fitted[widest] -= 1
    return fitted


def shorten(text: str, width: int) -> str:
    """Return a text cut to a width; a path keeps its end, the file name."""
    if _width(text) <= width:
        return text
    keeps_end = "/" in text
    while text and _width(text) >= width:
        text = text[1:] if keeps_end else text[:-1]
    return f"…{text}" if keeps_end else f"{text}…"


def _print_records(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    name_width = max(map(_width, header))
    for i, row in enumerate(cells):
        if i:
            print()
        for name, cell in zip(header, row, strict=True):
            print(f"{name.ljust(name_width)}  {cell}".rstrip())


def _width(text: str) -> int:
    """Return the columns of a terminal that a text takes: CJK characters and emoji take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(1 + (east_asian_width(c) in "WF") for c in text if not combining(c))


def _pad(text: str, width: int, number: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if number else text + space


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell).replace(".", "", 1).isdigit()
