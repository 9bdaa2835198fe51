"""What a metadata file says of images: staged before an ingest, applied after it."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.progress import Progress
from spocdb.sources.metadata_files import RowsRead, read_metadata
from spocdb.wording import counted

log = logging.getLogger(__name__)


def stage(connection: Connection, file: Path, roots: Sequence[str], progress: Progress) -> None:
    """Load a metadata file; paths in it are relative to the roots. Raises ConfigError."""
    loaded = RowsRead()

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for row in read_metadata(file, [Path(root) for root in roots], loaded):
            progress.doing = f"reading the metadata: {counted(loaded.n_rows, 'row')}"
            yield row

    images.stage_metadata(connection, rows())
    rest = ""
    if loaded.n_missing:
        n, example = f"{loaded.n_missing:,}", loaded.example
        rest = f", {n} of them for a file that is not there, such as {example}"
    log.info("metadata: %s read%s", counted(loaded.n_rows, "row"), rest)


def apply(connection: Connection, collection: Collection) -> None:
    """Give the images of a collection what is staged."""
    n_changed, n_unmatched, example = images.apply_metadata(connection, collection)
    log.info("metadata: %s changed", counted(n_changed, "image"))
    if n_unmatched:
        rows = counted(n_unmatched, "row")
        log.warning("metadata: %s without an image, such as %s", rows, example)
