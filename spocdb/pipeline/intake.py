"""The intake: from images wherever they are to decoded ones, each content once.

    refs -> read, sha256 -> descriptor stored? -> decode

Every step is a generator that pulls from the one before, and the slow ones run a few items ahead in
a pool of threads (spocdb/pipeline/prefetch.py): nothing is read before it is nearly wanted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic

from spocdb.errors import ImageError, ProcessLost
from spocdb.images.decode import decode, plain_jpeg
from spocdb.images.footprint import footprint
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.prefetch import PART_FOR_FILES, Prefetcher, chunks
from spocdb.pipeline.work import Work, work_of
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, Decoded, Recipe
from spocdb.sources.source import Get, Ref, Source

# The database is asked about so many contents at once. They are held with their bytes, so these
# are few.
CONTENTS_ASKED = 16

# Tells which of some sha256 have a descriptor already.
Known = Callable[[set[bytes]], set[bytes]]


@dataclass(slots=True)
class Intake(Generic[Ref]):
    """The steps up to decoded images, and what is on its way between them; used by one thread.

    It is the reader that a source streams to.
    """

    recipe: Recipe
    known: Known
    prefetcher: Prefetcher
    caution: Caution
    # Whether JPEGs are left to the device by now.
    defer: Callable[[], bool] = lambda: False
    exif: bool = False
    # A content met again joins its work while that can still take another name, and counts as
    # stored from when it is handed over for writing until the database says so itself.
    _open: dict[bytes, Work[Ref]] = field(default_factory=dict)
    _being_written: set[bytes] = field(default_factory=set)
    _stored: set[bytes] = field(default_factory=set)

    def take(self, source: Source, refs: Iterable[Ref]) -> Iterator[Work[Ref]]:
        """Yield the works that these images make, each content once, decoded or failed."""
        works = self._distinct(source.stream(refs, self))
        return self.prefetcher.decode(works, self._decode)

    def read(self, images: Iterable[tuple[Ref, Get]]) -> Iterator[Work[Ref]]:
        """Yield a work for each image, with its bytes or why there are none."""
        return self.prefetcher.read(images, partial(work_of, exif=self.exif), self._needs)

    def hand_over(self, works: Sequence[Work[Ref]]) -> set[bytes]:
        """Close works for further names; return the contents that are being written now.

        Their pictures have been through the network: nobody needs them any more.
        """
        self.prefetcher.release(works)
        hashes = {w.sha256 for w in works if w.picture}
        for work in works:
            self._open.pop(work.sha256, None)
        self._being_written |= hashes
        return hashes

    def written(self, hashes: set[bytes]) -> None:
        """Take note that the database knows these contents from now on."""
        self._being_written -= hashes
        # The chunk in hand was asked about before.
        self._stored |= hashes

    def _needs(self, work: Work[Ref]) -> int:
        """Return the bytes of memory that decoding a work takes here."""
        work.is_apart = self.caution.covers(work.refs)
        return 0 if work.is_apart else footprint(work.data, self.recipe.size, self.recipe.fit)

    def _distinct(self, works: Iterable[Work[Ref]]) -> Iterator[Work[Ref]]:
        account = self.prefetcher.account
        # Fewer at a time where large files have filled their part of the memory.
        for chunk in chunks(works, CONTENTS_ASKED, lambda: account.has_room(PART_FOR_FILES)):
            self._stored = self.known({w.sha256 for w in chunk if not w.error})
            for work in chunk:
                if open_work := self._open.get(work.sha256):
                    open_work.refs += work.refs
                    self.prefetcher.release([work])
                    continue
                work.is_known = work.sha256 in self._stored | self._being_written
                if not work.error and not work.is_known:
                    self._open[work.sha256] = work
                yield work

    def _decode(self, work: Work[Ref]) -> None:
        max_pixels = self.prefetcher.limits.max_pixels
        if work.is_apart:
            decode_work(work, self.recipe, max_pixels, apart=self.caution.decode)
        else:
            decode_work(work, self.recipe, max_pixels, defer=self.defer())


def decode_work(
    work: Work[Ref],
    recipe: Recipe,
    max_pixels: int,
    *,
    defer: bool = False,
    apart: Callable[[bytes, int, Fit, int, Canvas], Decoded] | None = None,
) -> None:
    """Turn a work's bytes into what a recipe's network takes, or into the reason why not.

    `defer` leaves plain JPEGs as they are, for the network's device; `apart` decodes in `decode`'s
    place.
    """
    if not work.error and not work.is_known:
        try:
            jpeg = plain_jpeg(work.data, max_pixels) if defer else None
            work.picture = jpeg or (apart or decode)(
                work.data, recipe.size, recipe.fit, max_pixels, recipe.canvas
            )
        except ImageError as exc:
            work.error = exc
        except MemoryError:
            work.error = ProcessLost("there was no memory to decode it: try it again later")
    work.data = b""
