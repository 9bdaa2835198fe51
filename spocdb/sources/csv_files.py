"""Rows of CSV files in the dialects of common programs, with limits on the length of a line."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.text import one_line

# Limits against files of another kind: memory and the database hold a row at a time.
MOST_CHARACTERS, MOST_KEYS = 1_000_000, 1000
TOO_LONG = f"over {MOST_CHARACTERS:,} characters, the most that a row may have"
# The first with which the header has the wanted column is used; the comma if none.
DELIMITERS = (",", ";", "\t", "|")


def csv_rows(
    file: Path, column: str, needed: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, cells by column) of a CSV file whose header has a `column`.

    Columns are separated by comma, semicolon, tab or bar; the encoding is UTF-8, or UTF-16 as of
    spreadsheets.

    Raises:
        ConfigError: The header lacks `column` or a `needed` one, or a line is malformed.
        OSError: The file cannot be read.
        UnicodeError: It has another encoding.
    """
    # The csv module's own limit is lower than this, and global to the process.
    csv.field_size_limit(max(csv.field_size_limit(), MOST_CHARACTERS))
    with open(file, encoding=_encoding(file), newline="", opener=regular) as stream:
        lines = lines_of(file, stream)
        n_before, header = _header(lines)
        reader = csv.reader(
            _chained(header, lines), delimiter=_delimiter(header, column), strict=True
        )
        try:
            names = next(reader, [])
            _check_names(file, names, [column, *needed])
            for cells in reader:
                line = n_before + reader.line_num
                if cells:
                    yield line, _row(file, line, names, cells)
        except csv.Error as exc:
            what = TOO_LONG if "field limit" in str(exc) else exc
            raise ConfigError(f"{file}, line {n_before + reader.line_num}: {what}") from exc


def lines_of(file: Path, stream: TextIO) -> Iterator[str]:
    """Yield a file's lines, without reading a line beyond the limit.

    Raises:
        ConfigError: A line exceeds the limit.
    """
    number = 0
    while line := stream.readline(MOST_CHARACTERS + 1):
        number += 1
        if len(line) > MOST_CHARACTERS:
            raise ConfigError(f"{file}, line {number}: {TOO_LONG}")
        yield line


def _row(file: Path, line: int, names: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) > len(names):
        raise ConfigError(f"{file}, line {line}: more cells than columns")
    # Spreadsheets write trailing empty columns without a name.
    if any(cell for name, cell in zip(names, cells, strict=False) if not name):
        raise ConfigError(f"{file}, line {line}: a value in a column without a name")
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}


def _encoding(file: Path) -> str:
    """Return a CSV's encoding: UTF-16 if it begins with that byte order mark, else UTF-8."""
    with open(file, "rb", opener=regular) as stream:
        begin = stream.read(2)
    # Excel writes a byte order mark in UTF-8 too.
    return "utf-16" if begin in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _header(lines: Iterator[str]) -> tuple[int, str]:
    """Return the number of lines before the header, and the header."""
    first = next(lines, "")
    # Excel's line that declares the delimiter.
    if re.fullmatch(r"sep=.\r?\n?", first):
        return 1, next(lines, "")
    return 0, first


def _delimiter(header: str, column: str) -> str:
    for delimiter in DELIMITERS:
        try:
            if column in next(csv.reader([header], delimiter=delimiter), []):
                return delimiter
        except csv.Error:
            continue
    return DELIMITERS[0]


def _chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from lines


def _check_names(file: Path, names: list[str], needed: Sequence[str]) -> None:
    if not names:
        raise ConfigError(f"{file} is empty, or its first line is: that line names the columns")
    if missing := next((name for name in needed if name not in names), None):
        there_are = one_line(", ".join(filter(None, names)), 200)
        raise ConfigError(f"{file} has no column `{missing}`; there are: {there_are}")
    if len(names) > MOST_KEYS:
        raise ConfigError(f"{file} has {len(names):,} columns, of at most {MOST_KEYS:,}")
    named = [name for name in names if name]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise ConfigError(f"{file}: two columns are called {twice!r}: rename one")
