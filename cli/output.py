"""What a command prints: data to stdout, talk to stderr."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
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
        return f"{value:%Y-%m-%d %H:%M:%S %z}"
    is_json = isinstance(value, dict | list | bool) or value is None
    return json.dumps(value, ensure_ascii=False) if is_json else str(value)


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
