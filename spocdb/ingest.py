"""Ingest: the loop that takes images through the network into the database.

The intake runs ahead in threads of its own, the network in one more, and writing in another. An
interruption undoes nothing: each batch is one transaction, and the next run skips what is stored.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from spocdb.db import batches, engine, runs
from spocdb.db.batches import Batch, NewDescriptor
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.moves import Moves
from spocdb.extraction import OnDemand, Writer, count, extract, projecting
from spocdb.images import names
from spocdb.intake import Intake, file_works
from spocdb.prefetch import Work, prefetching
from spocdb.progress import Progress
from spocdb.records import SourceFile
from spocdb.settings import Limits

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest: `strict` stops at the first bad image, `batch_size` None is the device's.

    `exif` stores what is said in the files, `moves` finds images again whose file was moved.
    """

    limits: Limits
    batch_size: int | None = None
    strict: bool = False
    retry_failed: bool = False
    exif: bool = False
    moves: bool = True


def ingest(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    files: Iterable[SourceFile],
    load_extractor: "Callable[[], Extractor]",
    options: IngestOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    progress: Progress | None = None,
) -> Progress:
    """Bring `files` into a collection and return what became of them, in `progress` if given.

    The network is loaded when the first image needs it. `connect` opens the writer's connection.
    Raises DatabaseLost if the database goes away, ExtractorChanged and, if
    strict, the first bad image's ImageError; what was written before stays.
    """
    progress = progress or Progress()
    progress.began, progress.doing = time.monotonic(), ""
    on_progress(progress)
    run_id = runs.begin(connection, collection)
    status: runs.Status = "failed"
    refused: list[Batch] = []
    try:
        with (
            connect() as write_connection,
            prefetching(options.limits) as prefetch,
            Writer(
                *(_writing_to(write_connection, collection, options, progress, refused), progress),
                cancel=partial(engine.cancel, write_connection),
            ) as writer,
        ):
            extractor = OnDemand(partial(_loaded, load_extractor, progress))
            intake = Intake(connection, collection, prefetch, extractor.decodes_jpegs)
            retry_failed = options.retry_failed or options.strict
            works = file_works(
                intake, files, progress, retry_failed=retry_failed, exif=options.exif
            )
            _run(intake, works, extractor, writer, options, progress, on_progress)
        progress.refuse(len(refused))
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        progress.seconds = time.monotonic() - progress.began
        runs.end(connection, run_id, status, progress.as_dict())
    return progress


def _run(
    intake: Intake,
    works: Iterator[Work],
    extractor: OnDemand,
    writer: Writer[Batch],
    options: IngestOptions,
    progress: Progress,
    on_progress: Callable[[Progress], None],
) -> None:
    for batch, descriptors in extract(works, extractor, options.batch_size, progress):
        hashes = intake.hand_over(batch)
        writer.submit(_batch(batch, descriptors), partial(intake.written, hashes))
        count(progress, batch)
        on_progress(progress)
        if options.strict and (bad := next((w for w in batch if w.error), None)):
            assert bad.error is not None
            raise type(bad.error)(f"{bad.files[0].path}: {bad.error}")
    writer.finish()
    on_progress(progress)


def _batch(works: list[Work], descriptors: dict[bytes, NewDescriptor]) -> Batch:
    return Batch(
        images=[(file, w.sha256) for w in works if not w.error for file in w.files],
        descriptors=descriptors,
        failures=[(file, w.error) for w in works if w.error for file in w.files],
        exif={w.sha256: w.exif for w in works if w.exif},
    )


def _loaded(load: "Callable[[], Extractor]", progress: Progress) -> "Extractor":
    progress.doing = "loading the network"
    try:
        return load()
    finally:
        progress.doing = ""


def _writing_to(
    connection: Connection,
    collection: Collection,
    options: IngestOptions,
    progress: Progress,
    refused: list[Batch],
) -> Callable[[Batch], None]:
    """Return what writes a batch, and adds to `refused` the files that the database refuses."""
    batches.prepare(connection)
    projected = projecting(connection)
    moves = Moves(names.is_there) if options.moves else None

    def write(batch: Batch) -> None:
        refused.extend(batches.write(connection, collection, batch, projected, moves))
        progress.n_moved = moves.n_moved if moves else 0

    return write
