"""What is said about images: a CSV or JSON-lines file, one row an image, keyed by its path."""

import csv
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError

Row = tuple[str, dict[str, Any]]

# As JSON escapes it; behind a backslash that is escaped itself, u0000 is plain text.
ZERO_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def read_metadata(file: Path, roots: Sequence[Path] = ()) -> Iterator[Row]:
    """Yield (absolute path, metadata) of a .csv or .jsonl file whose rows have a `path`.

    A relative path is looked for beside the file, then under each of `roots`. Numbers and true or
    false in a CSV become JSON's; empty cells are left out. Raises ConfigError with the line.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if file.suffix.lower() not in readers:
        raise ConfigError(f"{file} is no metadata file: give a .csv or a .jsonl")
    folders = [file.absolute().parent, *roots]
    try:
        for line, row in readers[file.suffix.lower()](file):
            if problem := _problem(row):
                raise ConfigError(f"{file}, line {line}: {problem}, which PostgreSQL cannot hold")
            path = row.pop("path", None)
            if not isinstance(path, str) or not path:
                raise ConfigError(f"{file}, line {line}: no `path`, which says whose row it is")
            yield _absolute(path, folders), row
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is not UTF-8: convert it first") from exc


def parse_value(text: str) -> Any:
    """Return a number, a truth value or a text: what the text is as JSON, or itself."""
    if text.lower() in ("true", "false"):  # Python and spreadsheets write them with capitals
        return text.lower() == "true"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else text


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # Excel begins its UTF-8 with a mark.
    with open(file, encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restkey="", strict=True)
        try:
            for row in reader:
                if "" in row:
                    raise ConfigError(f"{file}, line {reader.line_num}: more cells than columns")
                yield (
                    reader.line_num,
                    {
                        name: cell if name == "path" else parse_value(cell)
                        for name, cell in row.items()
                        if cell
                    },
                )
        except csv.Error as exc:
            # DictReader's own count stands at the last row that was right.
            raise ConfigError(f"{file}, line {reader.reader.line_num}: {exc}") from exc


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(file, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_constant=_refuse)
            except (ValueError, RecursionError) as exc:
                raise ConfigError(f"{file}, line {number}: {exc}") from exc
            if not isinstance(row, dict):
                raise ConfigError(f"{file}, line {number}: not an object")
            yield number, row


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _problem(row: dict[str, Any]) -> str | None:
    try:
        text = json.dumps(row, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return "half a surrogate pair"
    except ValueError:
        return "an infinite number"
    except RecursionError:
        return "too deep a nesting"
    return "a zero byte" if ZERO_BYTE.search(text) else None


def _absolute(path: str, folders: Sequence[Path]) -> str:
    candidates = [os.path.abspath(folder / path) for folder in folders]
    return next((c for c in candidates if os.path.exists(c)), candidates[0])
