"""User-defined pairs: a CSV file with the columns `query` and `match`, one row per right answer.

Paths are absolute, or relative to the file or to the gallery's folder. The gallery consists of all
images that the file names, and of those in a folder if one is given. A query is removed from its
own ranking.
"""

import os
from collections import defaultdict
from pathlib import Path

from spocdb.errors import ConfigError
from spocdb.evaluation.benchmark import Benchmark, Query
from spocdb.sources import kinds
from spocdb.sources.csv_files import csv_rows
from spocdb.sources.walking import walk

COLUMNS = ("query", "match")


def read(file: Path, gallery: Path | None = None) -> Benchmark:
    """Read a file of pairs. Relative paths are resolved beside it, then in the gallery.

    Raises:
        ConfigError: The file cannot be read, a line is incomplete, or all queries are missing.
    """
    matches: dict[str, set[str]] = defaultdict(set)
    for query, match in _rows(file, gallery):
        matches[query].add(match)
    if not matches:
        raise ConfigError(f"{file} has no pairs: give it rows of `query,match`")
    named = matches.keys() | {name for names in matches.values() for name in names}
    left_out = kinds.LeftOut()
    walked = walk([gallery], recursive=True, left_out=left_out) if gallery else ()
    beside = list(walked)
    queries = [
        Query(query, frozenset(names - {query}), frozenset({query}))
        for query, names in sorted(matches.items())
    ]
    if not any(os.path.isfile(query) for query in matches):
        raise ConfigError(
            f"{file}: none of the queries' images is there, such as {min(matches)}: "
            "paths are relative to the CSV or the gallery"
        )
    # Use whole paths as names, because file names of different folders may be equal.
    images = {path: Path(path) for path in sorted({*named, *beside}) if os.path.isfile(path)}
    told = kinds.told(left_out)
    notes = (f"left out of {gallery}: {told}",) if told else ()
    return Benchmark(file.stem, images, {"": queries}, ("mAP", "recall@10"), notes=notes)


def _rows(file: Path, gallery: Path | None) -> list[tuple[str, str]]:
    folders = [file.absolute().parent, *([gallery.absolute()] if gallery else [])]
    rows = []
    try:
        for line, cells in csv_rows(file, COLUMNS[0], COLUMNS):
            if not all(cells.get(column) for column in COLUMNS):
                raise ConfigError(f"{file}, line {line}: query or match is empty")
            query, match = (_found(cells[column], folders) for column in COLUMNS)
            rows.append((query, match))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise ConfigError(f"{file} is no CSV file in UTF-8: {error}") from error
    return rows


def _found(path: str, folders: list[Path]) -> str:
    """Return the first candidate path that exists, or the first one if none exists."""
    # Normalised without `..`, as an ingest stores paths.
    candidates = [os.path.abspath(folder / path) for folder in folders]
    return next((c for c in candidates if os.path.isfile(c)), candidates[0])
