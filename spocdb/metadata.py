"""Metadata files: staged before an ingest, applied to its images afterwards."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.progress import Progress
from spocdb.sources.metadata_files import RowsRead, read_metadata
from spocdb.sources.names import is_uri
from spocdb.sources.source import Given
from spocdb.wording import counted

log = logging.getLogger(__name__)


def stage(connections: Sequence[Connection], file: Path, source: Given, progress: Progress) -> None:
    """Load a metadata file into the staging table of each server that has a part of a collection.

    Its paths are relative to the source's roots.

    Raises:
        ConfigError: The file cannot be read or is malformed.
    """
    folders = [root for root in source.roots if not is_uri(root)]

    def rows(loaded: RowsRead) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in read_metadata(file, folders, loaded, source.exists):
            progress.doing = f"reading the metadata: {counted(loaded.n_rows, 'row')}"
            yield row

    for connection in connections:
        loaded = RowsRead()
        images.stage_metadata(connection, rows(loaded))
    rest = ""
    if loaded.n_missing:
        n, example = f"{loaded.n_missing:,}", loaded.example
        rest = f", {n} of them for a missing file, such as {example}"
    log.info("metadata: %s read%s", counted(loaded.n_rows, "row"), rest)


def apply(parts: Sequence[tuple[Connection, Collection]]) -> None:
    """Merge the staged metadata into the images of a collection, which has a part on each server.

    An image is on one of them, so that a row is without an image if none of them has it.
    """
    applied = [images.apply_metadata(connection, collection) for connection, collection in parts]
    log.info("metadata: %s changed", counted(sum(n for n, _, _ in applied), "image"))
    n_elsewhere = (len(parts) - 1) * images.count_staged(parts[0][0])
    if n_unmatched := sum(n for _, n, _ in applied) - n_elsewhere:
        such = f", such as {applied[0][2]}" if len(parts) == 1 else ""
        log.warning("metadata: %s without an image%s", counted(n_unmatched, "row"), such)
