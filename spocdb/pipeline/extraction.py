"""Extraction: compute descriptors of decoded images, timed.

Each lane of the network has its own thread and is at most one batch ahead of the consumer, so that
memory does not grow with the number of images.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.options import MOST_WORKS
from spocdb.pipeline.prefetch import threads
from spocdb.pipeline.work import Work
from spocdb.progress import Progress, waiting
from spocdb.records import Decoded, Jpeg, NewDescriptor, Recipe, SmallPicture
from spocdb.sources.source import Ref

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor, Pixels
    from spocdb.features.lanes import Lane
    from spocdb.features.plain import Stack

# Two for each of up to 16 devices.
MOST_LANES = 32
# New images that a run may have without loading the network, which takes longer than they do.
FEW = 10


class OnDemand:
    """The extractor of a recipe, loaded when first called. Only one thread may call it.

    Until then `load_few`, if given, may describe a few images without it.
    """

    def __init__(
        self,
        recipe: Recipe,
        load: "Callable[[], Extractor]",
        load_few: "Callable[[], Stack | None]" = lambda: None,
    ) -> None:
        self.recipe = recipe
        self._load, self._loaded = load, list["Extractor"]()
        self._load_few, self._n_few = load_few, 0

    def __call__(self) -> "Extractor":
        if not self._loaded:
            self._loaded.append(self._load())
        return self._loaded[0]

    def few(self, n: int) -> "Stack | None":
        """Return what describes n more images; None if the extractor is loaded or worth it."""
        if self._loaded or self._n_few + n > FEW:
            return None
        return self._load_few()

    def took_few(self, n: int) -> None:
        """Count images that were described without the extractor."""
        self._n_few += n

    def decodes_jpegs(self) -> bool:
        """Return whether it is loaded and its device decodes JPEGs. Thread-safe."""
        return any(extractor.decodes_jpegs for extractor in self._loaded)


def extract(
    works: Iterator[Work[Ref]],
    extractor: OnDemand,
    batch_size: int | None,
    progress: Progress,
) -> Iterator[tuple[list[Work[Ref]], dict[bytes, NewDescriptor]]]:
    """Yield batches of works, with the raw descriptors of those that have a picture.

    The network is loaded when the images need it; `batch_size` None is the device's default.
    While each lane computes a batch, the next one is gathered.
    """
    n_lanes = 1
    in_work: deque[tuple[list[Work[Ref]], int, Future[dict[bytes, NewDescriptor]]]] = deque()
    with threads(MOST_LANES, "extract") as network:
        for batch in _batches(_timed(progress, works), extractor, batch_size):
            n_decoded = sum(work.picture is not None for work in batch)
            if n_decoded and (stack := extractor.few(n_decoded)):
                extractor.took_few(n_decoded)
                work = network.submit(_extract_few, batch, stack, progress.computed)
            elif n_decoded:
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
    batch: list[Work[Ref]],
    n_decoded: int,
    descriptors: "Future[dict[bytes, NewDescriptor]]",
    progress: Progress,
) -> tuple[list[Work[Ref]], dict[bytes, NewDescriptor]]:
    with waiting(progress, "network"):
        found = descriptors.result()
    progress.arrived(n_decoded, len(found))
    return batch, found


def _batches(
    works: Iterable[Work[Ref]], extractor: OnDemand, size: int | None
) -> Iterator[list[Work[Ref]]]:
    batch: list[Work[Ref]] = []
    n_decoded = 0
    for work in works:
        batch.append(work)
        n_decoded += work.picture is not None
        if n_decoded and size is None and extractor.few(n_decoded) is None:
            size = extractor().batch_size
        if n_decoded == size or len(batch) == max(MOST_WORKS, size or 0):
            yield batch
            batch, n_decoded = [], 0
    if batch:
        yield batch


def _extract(
    works: list[Work[Ref]], extractor: "Extractor", on_done: Callable[[int], None]
) -> dict[bytes, NewDescriptor]:
    """Compute the raw descriptors of works with pictures, each content once."""
    shown = {w.sha256: w for w in works if w.picture}
    with extractor.lane() as lane:
        pixels = _pixels(list(shown.values()), extractor, lane)
        raw = extractor.extract_in(lane, list(pixels.values()), on_done)
    return {
        sha256: NewDescriptor(picture.width, picture.height, descriptor, _small(picture))
        for sha256, descriptor in zip(pixels, raw, strict=True)
        if (picture := shown[sha256].picture)
    }


def _extract_few(
    works: list[Work[Ref]], stack: "Stack", on_done: Callable[[int], None]
) -> dict[bytes, NewDescriptor]:
    """Do what `_extract` does, image by image."""
    found = {}
    for work in works:
        if isinstance(picture := work.picture, Decoded):
            raw = stack.describe(picture.pixels)
            found[work.sha256] = NewDescriptor(picture.width, picture.height, raw, picture.small)
            on_done(1)
    return found


def _small(picture: Decoded | Jpeg) -> SmallPicture | None:
    return picture.small if isinstance(picture, Decoded) else None


def _pixels(works: list[Work[Ref]], extractor: "Extractor", lane: "Lane") -> "dict[bytes, Pixels]":
    """Return the pixels of each content, JPEGs decoded on the lane's device if it can.

    The CPU decodes the others; a work that it cannot decode gets an error.
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
            # Free the encoded bytes.
            work.picture = replace(jpeg, data=b"")
    return decoded | {w.sha256: w.picture.pixels for w in works if isinstance(w.picture, Decoded)}


def _timed(progress: Progress, works: Iterator[Work[Ref]]) -> Iterator[Work[Ref]]:
    while True:
        with waiting(progress, "decode"):
            work = next(works, None)
        if work is None:
            return
        progress.n_decoded += work.picture is not None
        yield work
