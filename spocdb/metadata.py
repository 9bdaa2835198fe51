"""Metadata files: staged before an ingest, applied to its images afterwards."""

import logging
from collections.abc import Iterator
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


def stage(connection: Connection, file: Path, source: Given, progress: Progress) -> None:
    """Load a metadata file into the staging table; its paths are relative to the source's roots.

    Raises:
        ConfigError: The file cannot be read or is malformed.
    """
    loaded = RowsRead()
    folders = [root for root in source.roots if not is_uri(root)]

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for row in read_metadata(file, folders, loaded, source.exists):
            progress.doing = f"reading the metadata: {counted(loaded.n_rows, 'row')}"
            yield row

    images.stage_metadata(connection, rows())
    rest = ""
    if loaded.n_missing:
        n, example = f"{loaded.n_missing:,}", loaded.example
        rest = f", {n} of them for a missing file, such as {example}"
    log.info("metadata: %s read%s", counted(loaded.n_rows, "row"), rest)


def apply(connection: Connection, collection: Collection) -> None:
    """Merge the staged metadata into the images of a collection."""
    n_changed, n_unmatched, example = images.apply_metadata(connection, collection)
    log.info("metadata: %s changed", counted(n_changed, "image"))
    if n_unmatched:
        rows = counted(n_unmatched, "row")
        log.warning("metadata: %s without an image, such as %s", rows, example)
