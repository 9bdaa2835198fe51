"""Ingest: the loop that takes images through the network into the database.

The intake runs ahead in threads of its own, the network in one more, and writing in another. An
interruption undoes nothing: each batch is one transaction, and the next run skips what is stored.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from spocdb.db import engine, runs, writing
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.moves import Moves
from spocdb.db.writing import Batch, NewDescriptor
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.extraction import MOST_WORKS, OnDemand, Writer, count, extract, projecting
from spocdb.pipeline.intake import CONTENTS_ASKED, Intake, file_works
from spocdb.pipeline.prefetch import AHEAD, Work, prefetching
from spocdb.progress import Progress, Say, silent
from spocdb.records import SourceFile
from spocdb.settings import Limits
from spocdb.sources import names

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# Those that can be on their way when a run is killed: gathered, in the network, waiting to be
# written.
MOST_BATCHES = 6


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
    say: Say = silent,
) -> Progress:
    """Bring `files` into a collection and return what became of them, in `progress` if given.

    The network is loaded when the first image needs it. `connect` opens the writer's connection.
    Raises DatabaseLost if the database goes away, ExtractorChanged and, if
    strict, the first bad image's ImageError; what was written before stays.
    """
    progress = progress or Progress()
    progress.began, progress.doing = time.monotonic(), ""
    on_progress(progress)
    caution = _caution(connection, collection, options, say)
    run_id = runs.begin(connection, collection)
    status: runs.Status = "failed"
    refused: list[Batch] = []
    try:
        with (
            connect() as write_connection,
            caution,
            prefetching(options.limits) as prefetch,
            Writer(
                *(_writing_to(write_connection, collection, options, progress, refused), progress),
                cancel=partial(engine.cancel, write_connection),
            ) as writer,
        ):
            extractor = OnDemand(partial(_loaded, load_extractor, progress))
            intake = Intake(connection, collection, prefetch, extractor.decodes_jpegs, caution)
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


def _caution(
    connection: Connection, collection: Collection, options: IngestOptions, say: Say
) -> Caution:
    """Return the caution that is needed: none but after a run that was killed."""
    n_works = 0
    if runs.mark_killed(connection, collection):
        say("an earlier run was killed: images are decoded in a process of their own at first")
        most_a_batch = max(MOST_WORKS, options.batch_size or 0)
        n_works = 2 * AHEAD + CONTENTS_ASKED + MOST_BATCHES * most_a_batch
    return Caution(n_works, runs.lost(connection, collection))


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
    writing.prepare(connection)
    projected = projecting(connection)
    moves = Moves(names.is_there) if options.moves else None

    def write(batch: Batch) -> None:
        refused.extend(writing.write(connection, collection, batch, projected, moves))
        progress.n_moved = moves.n_moved if moves else 0

    return write
