"""What is said about images: a CSV or JSON-lines file, one row an image, keyed by its path."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.sources.csv_files import MOST_CHARACTERS, MOST_KEYS, TOO_LONG, csv_rows, lines_of
from spocdb.text import cleaned

Row = tuple[str, dict[str, Any]]

# How a number, a quoted text or blanks before them begin.
JSON_BEGINS = frozenset('-0123456789" \t\r\n')
ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


@dataclass(slots=True)
class RowsRead:
    """How many rows were read, how many of them name no file that is there, and the first such."""

    n_rows: int = 0
    n_missing: int = 0
    example: str = ""


def read_metadata(
    file: Path, roots: Sequence[Path] = (), read: RowsRead | None = None
) -> Iterator[Row]:
    """Yield (absolute path, metadata) of a .csv or .jsonl file whose rows have a `path`.

    A relative path is looked for beside the file, then under each of `roots`. Numbers and true or
    false in a CSV become JSON's; empty cells are left out. What no text in PostgreSQL may hold, a
    zero byte or half a surrogate pair, becomes U+FFFD. `read` counts the rows. Raises ConfigError
    with the line.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if file.suffix.lower() not in readers:
        raise ConfigError(f"{file} is no metadata file: give a .csv or a .jsonl")
    folders = [os.path.abspath(folder) for folder in (file.parent, *roots)]
    read = read or RowsRead()
    try:
        for line, row in readers[file.suffix.lower()](file):
            try:
                row = _cleaned(row)
            except ValueError as exc:
                raise ConfigError(f"{file}, line {line}: {exc}") from exc
            path = row.pop("path", None)
            if not isinstance(path, str) or not path:
                raise ConfigError(f"{file}, line {line}: no `path`, which says whose row it is")
            yield _found(path, folders, read), row
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeError as exc:
        raise ConfigError(f"{file} is not UTF-8: convert it first") from exc


def parse_value(text: str) -> Any:
    """Return a number, a truth value or a text: what the text is as JSON, or itself."""
    if text.lower() in ("true", "false"):  # Python and spreadsheets write them with capitals
        return text.lower() == "true"
    if text[:1] not in JSON_BEGINS:
        return text  # most texts, and quicker than by an exception
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


def _cleaned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that the database can store. Raises ValueError for one that it cannot."""
    if len(row) > MOST_KEYS:
        raise ValueError(f"{len(row):,} keys, of at most {MOST_KEYS:,}")
    cannot = "which PostgreSQL cannot hold"
    try:
        text = ENCODER.encode(row)
        # Few rows need it, and one look at the whole text tells.
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
    """Tell whether a JSON text may hold a zero byte, which JSON escapes, or half a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\\u0000" in text


def _storable(value: Any) -> Any:
    """Return a value of JSON with all its texts storable, those of keys too."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(key): _storable(item) for key, item in value.items()}
    return value


def _found(path: str, folders: Sequence[str], read: RowsRead) -> str:
    """Return the first of the paths that is there, the first of all if none is."""
    read.n_rows += 1
    # Strings, and one look for an absolute path: there may be a million rows.
    below = folders[:1] if os.path.isabs(path) else folders
    candidates = [os.path.normpath(os.path.join(folder, path)) for folder in below]
    found = next((c for c in candidates if os.path.exists(c)), None)
    if found is None:
        read.n_missing += 1
        read.example = read.example or candidates[0]
    return found or candidates[0]
