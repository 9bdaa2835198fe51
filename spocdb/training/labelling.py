"""Labelled samples: classes from folders, files, metadata, or the rows of a SELECT."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from spocdb.api import Database
from spocdb.db import collections, images, labels
from spocdb.errors import ConfigError
from spocdb.evaluation import pairs
from spocdb.settings import Limits
from spocdb.sources.metadata_files import read_metadata
from spocdb.sources.names import on_disk
from spocdb.training.samples import Sample, below, in_classes, readable
from spocdb.wording import counted

log = logging.getLogger(__name__)

# The columns of a statement's rows: an image and its class, or two images of one class.
LABELLED, PAIRED = ("path", "label"), ("query", "match")


def by_folder(paths: Sequence[Path], limits: Limits) -> list[Sample]:
    """Return the images under `paths`, labelled by the name of each image's folder.

    Raises:
        ConfigError: There are too few classes of two images or more.
    """
    files = {path: Path(path).parent.name for path in below(paths)}
    return in_classes(readable(files, limits), "the folders")


def by_column(file: Path, column: str, limits: Limits) -> list[Sample]:
    """Return the images that a CSV or JSON-lines file names in `path`, labelled by a column.

    Rows without that column are left out.

    Raises:
        ConfigError: The file cannot be read, or there are too few classes of two images or more.
    """
    said = ((path, row.get(column)) for path, row in read_metadata(file))
    files = {path: str(label) for path, label in said if label not in (None, "")}
    return in_classes(readable(files, limits), f"the column {column!r} of {file}")


def by_metadata(db: Database, collection: str | None, key: str, limits: Limits) -> list[Sample]:
    """Return a collection's images, labelled by a key of their metadata.

    Raises:
        ConfigError: There are too few classes of two images or more.
    """
    with db.engine.connection() as connection:
        target = collections.get(connection, collection)
        named = images.labels(connection, target, key)
    files = {on_disk(path): label for path, label in named.items()}
    found = readable(files, limits)
    return in_classes(found, f"the metadata {key!r} of {target.name}")


def by_pairs(file: Path, limits: Limits) -> list[Sample]:
    """Return the images of a CSV file with the columns `query` and `match`, classed by the pairs.

    Raises:
        ConfigError: The file cannot be read, or there are too few classes of two images or more.
    """
    queries = pairs.read(file).variants[""]
    paired = ((query.name, match) for query in queries for match in query.relevant)
    return _connected(paired, f"the pairs of {file}", limits)


def by_statement(db: Database, statement: str, limits: Limits) -> list[Sample]:
    """Return the images that a SELECT gives, with `path` and `label`, or pairs `query` and `match`.

    Paths are those of the database's images, or of any files. Rows with a NULL are left out.

    Raises:
        ConfigError: It gives other columns, or too few classes of two images or more.
        DatabaseError: The server refuses the statement.
    """
    with db.engine.connection() as connection:
        columns, rows = labels.rows(connection, statement)
    what = "the rows of the statement"
    if {*columns} >= {*LABELLED}:
        return in_classes(readable(_single(_chosen(columns, rows, LABELLED)), limits), what)
    if {*columns} >= {*PAIRED}:
        told = _chosen(columns, rows, PAIRED)
        return _connected([(one, on_disk(other)) for one, other in told], what, limits)
    raise ConfigError(
        f"the statement gives {', '.join(columns)}: name its columns path and label, or query and "
        "match",
        field="labels_from",
    )


def _chosen(
    columns: Sequence[str], rows: Iterable[labels.Row], names: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return two columns of the rows, the first of them a path on the disk."""
    first, second = (columns.index(name) for name in names)
    given = ((row[first], row[second]) for row in rows)
    return [(on_disk(one), other) for one, other in given if one and other]


def _single(labelled: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each path's label; leave out and log paths with several."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, label in labelled:
        found[path].add(label)
    clear = {path: min(names) for path, names in found.items() if len(names) == 1}
    if n_left_out := len(found) - len(clear):
        log.warning("left out: %s in several classes", counted(n_left_out, "image"))
    return clear


def _connected(paired: Iterable[tuple[str, str]], what: str, limits: Limits) -> list[Sample]:
    """Return the images of pairs; those connected by pairs form one class.

    A class is named by its least sha256, so that it has the same name whatever the paths.
    """
    group: dict[str, str] = {}
    for one, other in paired:
        group[_root(group, one)] = _root(group, other)
    found = readable({path: _root(group, path) for path in group}, limits)
    names: dict[str, str] = {}
    for sample in found:
        names[sample.label] = min(sample.sha256, names.get(sample.label, sample.sha256))
    renamed = [replace(sample, label=names[sample.label]) for sample in found]
    return in_classes(renamed, what)


def _root(group: dict[str, str], path: str) -> str:
    while group.setdefault(path, path) != path:
        group[path] = group[group[path]]  # a long chain is walked once
        path = group[path]
    return path
