"""Raw descriptors of stored images by another extractor: their files are read again.

    contents without a descriptor -> read, sha256 compared -> decode -> network -> descriptors

They are stored by content and extractor, whatever the collection: nothing that answers is touched.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from spocdb.db import engine, images, writing
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.writing import NewDescriptor
from spocdb.errors import ConfigError, ImageChanged, ImageError
from spocdb.images.footprint import footprint
from spocdb.pipeline.extraction import OnDemand, Writer, count, extract
from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.prefetch import Prefetch, Work, prefetching
from spocdb.progress import Progress
from spocdb.records import SourceFile
from spocdb.settings import Limits
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

Descriptors = dict[bytes, NewDescriptor]
# Reads an image of the collection, up to so many bytes; raises ImageError.
Read = Callable[[SourceFile, int], bytes]


def complete(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    load_extractor: "Callable[[], Extractor]",
    read: Read,
    limits: Limits,
    progress: Progress,
    on_progress: Callable[[Progress], None],
) -> None:
    """Compute the raw descriptors by the collection's extractor that its images lack.

    Each batch is committed: interrupted, the same call goes on. Raises ConfigError if there are
    files that are gone or have other bytes now, once all others are done.
    """
    example: Work | None = None
    with (
        connect() as write_connection,
        prefetching(limits) as prefetch,
        Writer(
            *(_writing_to(write_connection, collection), progress),
            cancel=partial(engine.cancel, write_connection),
        ) as writer,
    ):
        works = _works(connection, collection, prefetch, read, progress)
        for batch, descriptors in extract(works, OnDemand(load_extractor), None, progress):
            prefetch.release(batch)
            writer.submit(descriptors)
            count(progress, batch)
            on_progress(progress)
            example = example or next((w for w in batch if w.error), None)
        writer.finish()
    if example:
        raise _refusal(collection, example, progress.n_failed)


def _writing_to(connection: Connection, collection: Collection) -> Callable[[Descriptors], None]:
    writing.prepare(connection)
    return partial(writing.write_descriptors, connection, collection)


def _works(
    connection: Connection,
    collection: Collection,
    prefetch: Prefetch,
    read: Read,
    progress: Progress,
) -> Iterator[Work]:
    recipe = collection.recipe

    def find() -> Iterator[Work]:
        for sha256, files in images.undescribed(connection, collection):
            progress.n_seen += len(files)
            yield Work(files, sha256)

    works = prefetch.read(
        *(partial(_read, read), find()),
        size_of=lambda work: max(file.size for file in work.files),
        needs_of=lambda work: footprint(work.data, recipe.size, recipe.fit),
    )
    max_pixels = prefetch.limits.max_pixels
    return prefetch.decode(works, lambda work: decode_work(work, recipe, max_pixels))


def _read(read: Read, work: Work, max_bytes: int) -> Work:
    """Read a content from the first of its files that still has it."""
    for file in work.files:
        try:
            work.data, work.error = _unchanged(read(file, max_bytes), work.sha256), None
            break
        except ImageError as exc:
            work.error = exc
    return work


def _unchanged(data: bytes, sha256: bytes) -> bytes:
    if hashlib.sha256(data).digest() != sha256:
        raise ImageChanged("it has other bytes than when it was ingested")
    return data


def _refusal(collection: Collection, example: Work, n_images: int) -> ConfigError:
    images = counted(n_images, "image")
    return ConfigError(
        f"{images} of {collection.name} cannot be read as ingested, such as "
        f"{example.files[0].path} ({example.error}): bring the files back, or run "
        f"`db.ingest(FOLDER, prune=True, collection={collection.name!r})` on their folder "
        "(`db.tables.work(once=True)` for a table's rows); then the same again"
    )
