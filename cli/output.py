"""What a command prints: data to stdout, talk to stderr."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any


def talk(line: str) -> None:
    """Say one line to the person, beside the data."""
    print(one_line(line), file=sys.stderr)


def one_line(text: str) -> str:
    """Return a text with its line breaks and control characters written out: names may have any."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def counted(n: int, noun: str) -> str:
    """Return "1 image" or "2 images"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


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
    print(json.dumps(data, default=_encode, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as they need; numbers to the right."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    for line in ([*header], *cells):
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell).replace(".", "", 1).isdigit()


def _encode(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
