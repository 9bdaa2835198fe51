"""The intake: read and decode a source's images, each content once.

    refs -> read, sha256 -> descriptor stored? -> decode

Every step is a generator that pulls from the previous one. The slow steps prefetch a few items in a
thread pool (spocdb/pipeline/prefetch.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic

from spocdb.errors import ImageError, ProcessLost
from spocdb.images.decode import decode, plain_jpeg
from spocdb.images.footprint import footprint
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.chunks import chunks
from spocdb.pipeline.options import CONTENTS_ASKED
from spocdb.pipeline.prefetch import PART_FOR_FILES, Prefetcher
from spocdb.pipeline.work import Work, work_of
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, Decoded, Recipe
from spocdb.sources.source import Get, Ref, Source

# Returns which of the given sha256 have a stored descriptor.
Known = Callable[[set[bytes]], set[bytes]]


@dataclass(slots=True)
class Intake(Generic[Ref]):
    """The steps up to decoded images, and their state; used by one thread."""

    recipe: Recipe
    known: Known
    prefetcher: Prefetcher
    caution: Caution
    # Returns whether JPEGs are left to the device from now on.
    defer: Callable[[], bool] = lambda: False
    exif: bool = False
    thumbnails: bool = False
    # A repeated content joins its open work. Once handed over for writing, the content counts as
    # stored, until the database itself reports it.
    _open: dict[bytes, Work[Ref]] = field(default_factory=dict)
    _being_written: set[bytes] = field(default_factory=set)
    _stored: set[bytes] = field(default_factory=set)

    def take(self, source: Source, refs: Iterable[Ref]) -> Iterator[Work[Ref]]:
        """Yield the works of these images, each content once, decoded or failed."""
        works = self._distinct(self._read(source.stream(refs)))
        return self.prefetcher.decode(works, self._decode)

    def hand_over(self, works: Sequence[Work[Ref]]) -> set[bytes]:
        """Close works for further names; return the contents that are being written now.

        Their pictures have been through the network and are freed.
        """
        self.prefetcher.release(works)
        hashes = {w.sha256 for w in works if w.picture}
        for work in works:
            self._open.pop(work.sha256, None)
        self._being_written |= hashes
        return hashes

    def written(self, hashes: set[bytes]) -> None:
        """Record that these contents are in the database."""
        self._being_written -= hashes
        # The current chunk was looked up before they were written.
        self._stored |= hashes

    def _read(self, images: Iterable[tuple[Ref, Get]]) -> Iterator[Work[Ref]]:
        """Yield a work for each image, with its bytes or an error."""
        return self.prefetcher.read(images, partial(work_of, exif=self.exif), self._needs)

    def _needs(self, work: Work[Ref]) -> int:
        """Return the bytes of memory that decoding a work takes here."""
        work.is_apart = self.caution.covers(work.refs)
        return 0 if work.is_apart else footprint(work.data, self.recipe.size, self.recipe.fit)

    def _distinct(self, works: Iterable[Work[Ref]]) -> Iterator[Work[Ref]]:
        account = self.prefetcher.account
        # Smaller chunks while large files fill their part of the memory.
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
            decode_work(
                *(work, self.recipe, max_pixels),
                defer=self.defer(),
                with_thumbnail=self.thumbnails,
            )


def decode_work(
    work: Work[Ref],
    recipe: Recipe,
    max_pixels: int,
    *,
    defer: bool = False,
    with_thumbnail: bool = False,
    apart: Callable[[bytes, int, Fit, int, Canvas], Decoded] | None = None,
) -> None:
    """Decode a work's bytes for a recipe's network; on failure set its error.

    `defer` leaves plain JPEGs encoded, for the network's device; `apart` replaces `decode`. Neither
    makes thumbnails.
    """
    if not work.error and not work.is_known:
        try:
            jpeg = plain_jpeg(work.data, max_pixels) if defer else None
            read = apart or partial(decode, with_thumbnail=with_thumbnail)
            work.picture = jpeg or read(
                work.data, recipe.size, recipe.fit, max_pixels, recipe.canvas
            )
        except ImageError as exc:
            work.error = exc
        except MemoryError:
            work.error = ProcessLost("there was no memory to decode it: try it again later")
    work.data = b""
