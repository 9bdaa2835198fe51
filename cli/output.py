"""What a command prints: data to stdout, talk to stderr."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from spocdb.wording import counted as counted

if TYPE_CHECKING:
    from logging import Handler

# Columns of a narrow terminal that a text is shortened to at most.
LEAST_WIDTH = 16


_is_quiet = False


def be_quiet(quiet: bool) -> bool:
    """Let `talk` say nothing."""
    global _is_quiet
    _is_quiet = quiet
    return quiet


def is_quiet() -> bool:
    """Tell whether nothing but errors is to be said."""
    return _is_quiet


def be_verbose(level: int) -> int:
    """Log what the library does to stderr: 1 the steps, 2 each SQL statement too."""
    import logging

    logger = logging.getLogger("spocdb")
    for handler in logger.handlers[:]:
        if isinstance(handler, _handler_class()):
            logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    if level:
        handler = _handler_class()()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if level == 1 else logging.DEBUG)
    return level


@cache
def _handler_class() -> "type[Handler]":
    from logging import Handler, LogRecord

    from spocdb.redaction import redact

    class Spoken(Handler):
        """Says records on stderr as it is now: `quiet_libraries` puts another in its place."""

        def emit(self, record: LogRecord) -> None:
            complain(redact(self.format(record)))

    return Spoken


def talk(line: str) -> None:
    """Say one line to the person, beside the data, unless they want quiet."""
    if not _is_quiet:
        complain(line)


def complain(line: str) -> None:
    """Say one line to the person, whatever they want: an error."""
    # A stderr that is full or gone must not end the work.
    with suppress(OSError):
        print(one_line(line), file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Return a text with its line breaks and control characters written out: names may have any."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Let C libraries print nothing: libtiff complains to the terminal, and names no file."""
    sys.stderr.flush()
    ours, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    python_stderr = sys.stderr
    os.dup2(sink, 2)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(ours, 2)
        os.close(sink)
        sys.stderr.close()
        sys.stderr = python_stderr


def print_json(data: Any) -> None:
    """Print records, or what holds them, as JSON."""
    print(json_text(data))


def json_text(data: Any, indent: int | None = 2) -> str:
    """Return records, or what holds them, as JSON."""
    return json.dumps(data, default=_encode, indent=indent, ensure_ascii=False)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one record, a line for each field that has a value, or for each value of a list."""
    width = max(map(len, fields))
    for name, value in fields.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            if line not in (None, ""):
                print(f"{one_line(name).ljust(width)}  {one_line(_plain(line))}")


def shown_metadata(metadata: Mapping[str, object]) -> str:
    """Return metadata as a table shows them."""
    return ", ".join(f"{key}={_plain(value)}" for key, value in metadata.items())


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S %z}"
    is_json = isinstance(value, dict | list | bool) or value is None
    return json.dumps(value, ensure_ascii=False) if is_json else str(value)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as they need; numbers to the right.

    On a terminal that is too narrow the widest texts are shortened, or, should that not be enough,
    each row is printed as lines of "name: value". What is piped is never shortened.
    """
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
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
    """Return widths of columns that fit a terminal, None if texts would become too short."""
    fitted = [*widths]
    texts = [i for i, is_number in enumerate(right) if not is_number]
    for _ in range(sum(fitted) + 2 * (len(fitted) - 1) - columns):
        widest = max(texts, key=fitted.__getitem__, default=None)
        if widest is None or fitted[widest] <= LEAST_WIDTH:
            return None
        fitted[widest] -= 1
    return fitted


def shorten(text: str, width: int) -> str:
    """Return a text of at most a width: a path keeps its end, where its name is."""
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
    """Return how many columns of a terminal a text takes: CJK and emoji take two a character."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(1 + (east_asian_width(c) in "WF") for c in text if not combining(c))


def _pad(text: str, width: int, number: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if number else text + space


def moment(when: datetime) -> str:
    """Return a moment in this machine's time zone, to the minute."""
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


def confirm(question: str, yes: bool) -> None:
    """Ask on stderr whether to go on, unless `yes`; leave with exit code 1 if not."""
    import typer

    if yes:
        return
    # By hand: Typer's own prompt writes a blank to stdout, and leaves its line open.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not (answer.endswith("\n") and sys.stdin.isatty()):
            complain("")
    if answer.strip().lower() in ("y", "yes"):
        return
    if answer:
        complain("spocdb: nothing was done")
    else:
        complain("spocdb: no answer on stdin, so nothing was done: say --yes to do it unasked")
    raise typer.Exit(1)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell).replace(".", "", 1).isdigit()


def _encode(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
