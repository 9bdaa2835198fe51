"""Ingest: the one loop that takes images through the network into the database, and times it.

The intake runs ahead in threads of its own, the network in the calling thread, writing in one more
thread; each stage is at most a few images ahead of the next, so that memory does not grow with the
number of files. An interruption undoes nothing: each batch is one transaction, and the next run
skips what is stored.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from spocdb.db import batches, projections, runs
from spocdb.db.batches import Batch, NewDescriptor
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.features.projection import project
from spocdb.intake import Intake, Work
from spocdb.progress import Progress, Stage
from spocdb.records import Float32Array, SourceFile

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# A larger batch gains a CPU nothing, and a kill costs a batch.
CPU_BATCH, GPU_BATCH = 4, 64
# Images whose descriptors are stored need no network: they share larger transactions.
MOST_WORKS = 256
# One batch is being written while another waits.
WRITES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest: `strict` stops at the first bad image, `batch_size` None is the device's."""

    max_pixels: int
    batch_size: int | None = None
    strict: bool = False
    retry_failed: bool = False


def ingest(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    files: Iterable[SourceFile],
    load_extractor: "Callable[[], Extractor]",
    options: IngestOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Bring `files` into a collection and return what became of them.

    The network is loaded when the first image needs it. `connect` opens the writer's connection.
    Raises DatabaseError if the database goes away and, if strict, the first bad image's
    ImageError; what was written before stays.
    """
    progress = Progress()
    run_id = runs.begin(connection, collection)
    status: runs.Status = "failed"
    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
    try:
        with (
            connect() as write_connection,
            ThreadPoolExecutor(n_threads, "decode") as pool,
            _Writer(write_connection, collection, progress) as writer,
        ):
            intake = Intake(
                connection,
                collection,
                pool,
                2 * n_threads,
                options.max_pixels,
                options.retry_failed or options.strict,
                progress,
            )
            _run(intake, files, cache(load_extractor), writer, options, on_progress)
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
    files: Iterable[SourceFile],
    extractor: "Callable[[], Extractor]",
    writer: "_Writer",
    options: IngestOptions,
    on_progress: Callable[[Progress], None],
) -> None:
    progress = intake.progress
    for works in _batches(_timed(progress, intake.works(files)), extractor, options.batch_size):
        on_progress(progress)
        with _waiting(progress, "network"):
            descriptors = _extract(works, extractor)
        hashes = intake.hand_over(works)
        with _waiting(progress, "write"):
            writer.submit(_batch(works, descriptors), partial(intake.written, hashes))
        _count(progress, works)
        on_progress(progress)
        if options.strict and (bad := next((w for w in works if w.error), None)):
            assert bad.error is not None
            raise type(bad.error)(f"{bad.files[0].path}: {bad.error}")
    with _waiting(progress, "write"):
        writer.finish()
    on_progress(progress)


def _batches(
    works: Iterable[Work], extractor: "Callable[[], Extractor]", size: int | None
) -> Iterator[list[Work]]:
    batch: list[Work] = []
    n_decoded = 0
    for work in works:
        batch.append(work)
        n_decoded += work.decoded is not None
        if n_decoded and size is None:
            size = CPU_BATCH if extractor().device.type == "cpu" else GPU_BATCH
        if n_decoded == size or len(batch) == max(MOST_WORKS, size or 0):
            yield batch
            batch, n_decoded = [], 0
    if batch:
        yield batch


def _extract(works: list[Work], extractor: "Callable[[], Extractor]") -> dict[bytes, NewDescriptor]:
    decoded = {w.sha256: w.decoded for w in works if w.decoded}
    if not decoded:
        return {}
    raw = extractor().extract([d.pixels for d in decoded.values()])
    return {
        sha256: NewDescriptor(d.width, d.height, descriptor)
        for (sha256, d), descriptor in zip(decoded.items(), raw, strict=True)
    }


def _batch(works: list[Work], descriptors: dict[bytes, NewDescriptor]) -> Batch:
    return Batch(
        images=[(file, w.sha256) for w in works if not w.error for file in w.files],
        descriptors=descriptors,
        failures=[(file, w.error) for w in works if w.error for file in w.files],
    )


def _count(progress: Progress, works: list[Work]) -> None:
    for work in works:
        if work.error:
            progress.n_failed += len(work.files)
        else:
            progress.n_new += work.decoded is not None
            progress.n_reused += len(work.files) - (work.decoded is not None)
    progress.seconds = time.monotonic() - progress.began


class _Writer(AbstractContextManager["_Writer"]):
    """The writing thread, at most a few batches behind."""

    def __init__(self, connection: Connection, collection: Collection, progress: Progress) -> None:
        self._connection, self._collection, self._progress = connection, collection, progress
        self._thread = ThreadPoolExecutor(1, "write")
        self._pending: deque[tuple[Future[None], Callable[[], None]]] = deque()
        # Immutable versions: what was read once stays true.
        self._projection = cache(partial(projections.load, connection))
        batches.prepare(connection)

    def submit(self, batch: Batch, on_written: Callable[[], None]) -> None:
        """Write a batch in the background; wait while there are enough of them."""
        self._pending.append((self._thread.submit(self._write, batch), on_written))
        while len(self._pending) > WRITES_AHEAD or (self._pending and self._pending[0][0].done()):
            self._wait_for_first()

    def finish(self) -> None:
        """Wait until all is written."""
        while self._pending:
            self._wait_for_first()

    def __exit__(self, *exc_info: object) -> None:
        # What was handed over is written even if the run is interrupted now.
        self._thread.shutdown()

    def _wait_for_first(self) -> None:
        future, on_written = self._pending.popleft()
        future.result()
        on_written()

    def _write(self, batch: Batch) -> None:
        began = time.monotonic()
        batches.write(self._connection, self._collection, batch, self._project)
        self._progress.writing += time.monotonic() - began

    def _project(self, projection_id: int, raw: Float32Array) -> Float32Array:
        return project(raw, self._projection(projection_id))


def _timed(progress: Progress, works: Iterator[Work]) -> Iterator[Work]:
    while True:
        with _waiting(progress, "decode"):
            work = next(works, None)
        if work is None:
            return
        yield work


@contextmanager
def _waiting(progress: Progress, stage: Stage) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        progress.waited[stage] += time.monotonic() - began
