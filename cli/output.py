"""What a command prints: data to stdout, talk to stderr."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any


def talk(line: str) -> None:
    """Say one line to the person, beside the data."""
    print(one_line(line), file=sys.stderr)


def one_line(text: str) -> str:
    """Return a text with its line breaks and control characters written out: names may have any."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_json(data: Any) -> None:
    """Print records, or what holds them, as JSON."""
    print(json.dumps(data, default=_encode, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as they need; numbers to the right."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    for line in ([*header], *cells):
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def _encode(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
