"""Metadata of images from a CSV or JSON-lines file, one row per image, keyed by its path."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.sources import names
from spocdb.sources.csv_files import MOST_CHARACTERS, MOST_KEYS, TOO_LONG, csv_rows, lines_of
from spocdb.text import cleaned

Row = tuple[str, dict[str, Any]]

# The first characters of a JSON number or text, or of blanks before it.
JSON_BEGINS = frozenset('-0123456789" \t\r\n')
ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


@dataclass(slots=True)
class RowsRead:
    """The number of rows read, of those whose file is missing, and the first of these."""

    n_rows: int = 0
    n_missing: int = 0
    example: str = ""


def read_metadata(
    file: Path,
    roots: Sequence[str | Path] = (),
    read: RowsRead | None = None,
    exists: Callable[[str], bool] = os.path.exists,
) -> Iterator[Row]:
    """Yield (stored name, metadata) of a .csv or .jsonl file whose rows have a `path`.

    A relative path is looked up by `exists`, beside the file and then under each of `roots`; a URI
    is a name as it is. Numbers, true and
    false in a CSV become JSON values; empty cells are left out. Characters that PostgreSQL cannot
    store, NUL and lone surrogates, become U+FFFD. `read` counts the rows.

    Raises:
        ConfigError: The file cannot be read, or a line is malformed; the message names the line.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if file.suffix.lower() not in readers:
        raise ConfigError(f"{file} is no metadata file: give a .csv or a .jsonl")
    folders = [os.path.abspath(folder) for folder in (file.parent, *roots)]
    read = read or RowsRead()
    try:
        for line, row in readers[file.suffix.lower()](file):
            try:
                row = cleaned_row(row)
            except ValueError as exc:
                raise ConfigError(f"{file}, line {line}: {exc}") from exc
            path = row.pop("path", None)
            if not isinstance(path, str) or not path:
                raise ConfigError(f"{file}, line {line}: no `path`, which says whose row it is")
            yield _found(path, folders, read, exists), row
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeError as exc:
        raise ConfigError(f"{file} is not UTF-8: convert it first") from exc


def parse_value(text: str) -> Any:
    """Return a cell's number, boolean or quoted text if it is JSON, else the text itself."""
    if text.lower() in ("true", "false"):  # Python and spreadsheets write True and TRUE
        return text.lower() == "true"
    if text[:1] not in JSON_BEGINS:
        return text  # most texts; faster than an exception
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else text


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, cells in csv_rows(file, "path"):
        said = {name: cell for name, cell in cells.items() if cell}
        yield line, {n: cell if n == "path" else parse_value(cell) for n, cell in said.items()}


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(file, encoding="utf-8-sig", opener=regular) as stream:
        for number, line in enumerate(lines_of(file, stream), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_constant=_refuse)
            except RecursionError as exc:
                raise ConfigError(f"{file}, line {number}: too deep a nesting") from exc
            except ValueError as exc:
                raise ConfigError(f"{file}, line {number}: {exc}") from exc
            if not isinstance(row, dict):
                raise ConfigError(f"{file}, line {number}: not an object")
            yield number, row


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def cleaned_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that the database can store. Raises ValueError for one that it cannot."""
    if len(row) > MOST_KEYS:
        raise ValueError(f"{len(row):,} keys, of at most {MOST_KEYS:,}")
    cannot = "which PostgreSQL cannot hold"
    try:
        text = ENCODER.encode(row)
        # Few rows need cleaning; testing the whole text once is fast.
        storable: dict[str, Any] = _storable(row) if _is_dirty(text) else row
    except ValueError:
        raise ValueError(f"an infinite number, {cannot}") from None
    except RecursionError:
        raise ValueError(f"too deep a nesting, {cannot}") from None
    # A row of a CSV may have many lines.
    if len(text) > MOST_CHARACTERS + MOST_KEYS:
        raise ValueError(TOO_LONG)
    return storable


def _is_dirty(text: str) -> bool:
    """Return whether a JSON text may hold NUL, which JSON escapes, or a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\\u0000" in text


def _storable(value: Any) -> Any:
    """Return a JSON value with all its texts and keys cleaned."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(key): _storable(item) for key, item in value.items()}
    return value


def _found(path: str, folders: Sequence[str], read: RowsRead, exists: Callable[[str], bool]) -> str:
    """Return the first candidate path that exists; if none does, the first candidate."""
    read.n_rows += 1
    if names.is_uri(path):
        return path
    # Strings rather than Path, and one test for an absolute path: there may be a million rows.
    below = folders[:1] if os.path.isabs(path) else folders
    candidates = [os.path.normpath(os.path.join(folder, path)) for folder in below]
    found = next((c for c in candidates if exists(c)), None)
    if found is None:
        read.n_missing += 1
        read.example = read.example or candidates[0]
    return found or candidates[0]
