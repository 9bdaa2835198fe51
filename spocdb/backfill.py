"""Compute raw descriptors of stored images with another extractor: their bytes are read again.

    contents without a descriptor -> read, sha256 compared -> decode -> network -> descriptors

Descriptors are stored by content and extractor, not by collection, so that searches do not change.
"""

from collections.abc import Callable, Iterable, Iterator

from spocdb.db import descriptors
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import ConfigError, ImageError
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.options import Options
from spocdb.pipeline.run import run
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.settings import Limits
from spocdb.sinks import Copies, DescriptorsSink
from spocdb.sources.source import Source
from spocdb.wording import counted


def complete(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    source: Source,
    extractor: OnDemand,
    limits: Limits,
    progress: Progress,
    on_progress: Callable[[Progress], None],
) -> None:
    """Compute the missing raw descriptors of a collection's images with its extractor.

    `source` reads the collection's images. Each batch is committed; after an interruption the same
    call continues.

    Raises:
        ConfigError: Files are gone or changed. All other images are done.
    """
    with connect() as write_connection:
        sink = DescriptorsSink(connection, write_connection, collection, progress)
        contents: Iterable[Copies] = _undescribed(connection, collection, progress)
        while True:
            refs = sink.refs(contents)
            run(source, refs, extractor, sink, Options(limits), progress, on_progress)
            if not sink.again:
                break
            contents, sink.again = sink.again, []
    if sink.first_bad:
        raise _refusal(collection, *sink.first_bad, progress.n_failed)


def _undescribed(
    connection: Connection, collection: Collection, progress: Progress
) -> Iterator[Copies]:
    for refs in descriptors.undescribed(connection, collection):
        progress.n_seen += len(refs)
        yield Copies(refs)


def _refusal(
    collection: Collection, ref: ImageRef, error: ImageError, n_images: int
) -> ConfigError:
    images = counted(n_images, "image")
    return ConfigError(
        f"{images} of {collection.name} cannot be read as ingested, such as "
        f"{ref.name} ({error}): bring the files back, or run "
        f"`db.ingest(FOLDER, prune=True, collection={collection.name!r})` on their folder "
        "(`db.tables.work(once=True)` for a table's rows); then the same again"
    )
