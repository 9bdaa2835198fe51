"""Extraction: decoded images through the network, and what comes of them to a writer, timed.

Each of the network's lanes has a thread of its own, writing one more; each stage is at most a batch
ahead of the next, so that memory does not grow with the number of files.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Generic, TypeVar

from spocdb.db import projections
from spocdb.db.engine import Connection
from spocdb.db.writing import NewDescriptor, Project
from spocdb.features.projection import project
from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.prefetch import Work, threads
from spocdb.progress import Progress, Stage
from spocdb.records import Decoded, Jpeg

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor, Pixels
    from spocdb.features.lanes import Lane

Item = TypeVar("Item")

# Two a device, of as many as a machine has.
MOST_LANES = 32
# Images whose descriptors are stored need no network: they share larger transactions.
MOST_WORKS = 256
# One batch is being written while another waits.
WRITES_AHEAD = 2
# How long an interrupted run goes on with what is being written, and waits for its cancellation.
SECONDS_TO_FINISH, SECONDS_TO_CANCEL = 2.0, 1.0


class OnDemand:
    """An extractor that is loaded when it is first called for; by one thread."""

    def __init__(self, load: "Callable[[], Extractor]") -> None:
        self._load, self._loaded = load, list["Extractor"]()

    def __call__(self) -> "Extractor":
        if not self._loaded:
            self._loaded.append(self._load())
        return self._loaded[0]

    def decodes_jpegs(self) -> bool:
        """Tell whether it is loaded, and its device decodes JPEGs; any thread may ask."""
        return any(extractor.decodes_jpegs for extractor in self._loaded)


def extract(
    works: Iterator[Work],
    extractor: OnDemand,
    batch_size: int | None,
    progress: Progress,
) -> Iterator[tuple[list[Work], dict[bytes, NewDescriptor]]]:
    """Yield batches of works, with the raw descriptors of those that have a picture.

    The network is loaded when the first image needs it; `batch_size` None is the device's. While
    its lanes compute a batch each, the next one is gathered.
    """
    n_lanes = 1
    in_work: deque[tuple[list[Work], int, Future[dict[bytes, NewDescriptor]]]] = deque()
    with threads(MOST_LANES, "extract") as network:
        for batch in _batches(_timed(progress, works), extractor, batch_size):
            n_decoded = sum(work.picture is not None for work in batch)
            if n_decoded:
                n_lanes = extractor().n_lanes
                work = network.submit(_extract, batch, extractor(), progress.computed)
            else:
                work = network.submit(dict[bytes, NewDescriptor])
            in_work.append((batch, n_decoded, work))
            while len(in_work) > n_lanes:
                yield _finished(*in_work.popleft(), progress)
        while in_work:
            yield _finished(*in_work.popleft(), progress)


def _finished(
    batch: list[Work],
    n_decoded: int,
    descriptors: "Future[dict[bytes, NewDescriptor]]",
    progress: Progress,
) -> tuple[list[Work], dict[bytes, NewDescriptor]]:
    with waiting(progress, "network"):
        found = descriptors.result()
    progress.arrived(n_decoded, len(found))
    return batch, found


def projecting(connection: Connection) -> Project:
    """Return what projects raw descriptors by a projection's number; each is read once."""
    # Immutable versions: what was read once stays true.
    load = cache(partial(projections.load, connection))
    return lambda id_, raw: project(raw, load(id_))


def count(progress: Progress, works: Iterable[Work]) -> None:
    """Take note of what became of the works."""
    for work in works:
        if work.error:
            progress.n_failed += len(work.files)
        else:
            progress.n_new += work.picture is not None
            progress.n_reused += len(work.files) - (work.picture is not None)
    progress.seconds = time.monotonic() - progress.began


@contextmanager
def waiting(progress: Progress, stage: Stage) -> Iterator[None]:
    """Count the time until the end of the block to a stage."""
    began = time.monotonic()
    try:
        yield
    finally:
        progress.waited[stage] += time.monotonic() - began


class Writer(AbstractContextManager["Writer[Item]"], Generic[Item]):
    """A thread that writes, at most a few batches behind; `write` is only called in it.

    `cancel` ends the statement that it is in.
    """

    def __init__(
        self, write: Callable[[Item], None], progress: Progress, cancel: Callable[[], None]
    ) -> None:
        self._write, self._progress, self._cancel = write, progress, cancel
        self._thread = ThreadPoolExecutor(1, "write")
        self._pending: deque[tuple[Future[None], Callable[[], None]]] = deque()

    def submit(self, batch: Item, on_written: Callable[[], None] = lambda: None) -> None:
        """Write a batch in the background; wait while there are enough of them."""
        with waiting(self._progress, "write"):
            self._pending.append((self._thread.submit(self._write_timed, batch), on_written))
            while len(self._pending) > WRITES_AHEAD or self._is_first_done():
                self._wait_for_first()

    def finish(self) -> None:
        """Wait until all is written."""
        with waiting(self._progress, "write"):
            while self._pending:
                self._wait_for_first()

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        # What was handed over is written even if the run is interrupted now, unless that takes
        # long: the writer may wait for somebody else's lock. Its transaction is rolled back then.
        handed_over = [future for future, _ in self._pending]
        if kind and wait(handed_over, SECONDS_TO_FINISH).not_done:
            for future in handed_over:
                future.cancel()
            self._cancel()
            wait(handed_over, SECONDS_TO_CANCEL)
        self._thread.shutdown(wait=not kind)

    def _is_first_done(self) -> bool:
        return bool(self._pending) and self._pending[0][0].done()

    def _wait_for_first(self) -> None:
        future, on_written = self._pending[0]
        future.result()
        # Not before: whoever is interrupted while waiting waits for it again, shortly.
        self._pending.popleft()
        on_written()

    def _write_timed(self, batch: Item) -> None:
        began = time.monotonic()
        self._write(batch)
        self._progress.writing += time.monotonic() - began


def _batches(works: Iterable[Work], extractor: OnDemand, size: int | None) -> Iterator[list[Work]]:
    batch: list[Work] = []
    n_decoded = 0
    for work in works:
        batch.append(work)
        n_decoded += work.picture is not None
        if n_decoded and size is None:
            size = extractor().batch_size
        if n_decoded == size or len(batch) == max(MOST_WORKS, size or 0):
            yield batch
            batch, n_decoded = [], 0
    if batch:
        yield batch


def _extract(
    works: list[Work], extractor: "Extractor", on_done: Callable[[int], None]
) -> dict[bytes, NewDescriptor]:
    """Compute the raw descriptors of works with pictures, each content once."""
    shown = {w.sha256: w for w in works if w.picture}
    with extractor.lane() as lane:
        pixels = _pixels(list(shown.values()), extractor, lane)
        raw = extractor.extract_in(lane, list(pixels.values()), on_done)
    return {
        sha256: NewDescriptor(picture.width, picture.height, descriptor)
        for sha256, descriptor in zip(pixels, raw, strict=True)
        if (picture := shown[sha256].picture)
    }


def _pixels(works: list[Work], extractor: "Extractor", lane: "Lane") -> "dict[bytes, Pixels]":
    """Return the pixels of each content, JPEGs decoded on the lane's device if it can.

    The CPU decodes those that it cannot; what that cannot either has an error now.
    """
    jpegs = [(w, w.picture) for w in works if isinstance(w.picture, Jpeg)]
    there = extractor.decode_in(lane, [jpeg for _, jpeg in jpegs])
    decoded: dict[bytes, Pixels] = {}
    for (work, jpeg), pixels in zip(jpegs, there, strict=True):
        if pixels is None:
            work.data, work.picture = jpeg.data, None
            decode_work(work, extractor.recipe, jpeg.width * jpeg.height)
        else:
            decoded[work.sha256] = pixels
            # Its bytes were long enough in memory.
            work.picture = replace(jpeg, data=b"")
    return decoded | {w.sha256: w.picture.pixels for w in works if isinstance(w.picture, Decoded)}


def _timed(progress: Progress, works: Iterator[Work]) -> Iterator[Work]:
    while True:
        with waiting(progress, "decode"):
            work = next(works, None)
        if work is None:
            return
        progress.n_decoded += work.picture is not None
        yield work
