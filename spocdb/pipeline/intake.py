"""The intake: from images wherever they are to decoded ones, each content once.

    files -> changed since last time? -> read, sha256 -> descriptor stored? -> decode

Every step is a generator that pulls from the one before, and the slow ones run a few items ahead
in a pool of threads (spocdb/prefetch.py): nothing is read before it is nearly wanted. The first two
steps are those of files; the rows of a table come from spocdb/worker.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ImageError, ProcessLost, UnreadableImage
from spocdb.images.decode import decode, plain_jpeg
from spocdb.images.exif import exif_metadata
from spocdb.images.footprint import footprint
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.prefetch import PART_FOR_FILES, Prefetch, Work, chunks, read_work
from spocdb.progress import Progress
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, Decoded, Recipe, SourceFile
from spocdb.sources.files import read
from spocdb.sources.names import listed, problem

# Each question to the database is asked for so many files at once. Changed files are held with
# their bytes, so these are few.
FILES_ASKED, CONTENTS_ASKED = 512, 16


def changed(
    connection: Connection,
    collection: Collection,
    files: Iterable[SourceFile],
    progress: Progress,
    *,
    retry_failed: bool,
    exif: bool = False,
    dry_run: bool = False,
) -> Iterator[SourceFile]:
    """Yield the files that are neither stored as they are, nor failed as they are.

    With `exif` also those that are stored without it.
    """
    for chunk in chunks(files, FILES_ASKED):
        named = [replace(f, path=listed(f.path)) for f in chunk]
        stored, failed = images.unchanged(connection, collection, named, exif=exif)
        if not dry_run:
            images.forget_failures(connection, collection, stored)
        skipped = stored if retry_failed else stored | failed
        progress.n_seen += len(chunk)
        progress.n_unchanged += len(stored)
        progress.n_failed += len(skipped - stored)
        yield from (f for f in chunk if listed(f.path) not in skipped)


def read_file(file: SourceFile, max_bytes: int, *, exif: bool = False) -> Work:
    """Read a file into a work, or the reason why not."""
    if why_not := problem(file.path):
        return Work([replace(file, path=listed(file.path))], error=UnreadableImage(why_not))
    work = read_work(file, lambda: read(file, max_bytes))
    if exif and not work.error:
        work.exif = exif_metadata(work.data)
    return work


@dataclass(slots=True)
class Intake:
    """The steps from bytes on, and what is on its way between them; used by one thread."""

    connection: Connection
    collection: Collection
    prefetch: Prefetch
    # Whether JPEGs are left to the device by now.
    defer: Callable[[], bool] = lambda: False
    caution: Caution = field(default_factory=Caution)
    # A content met again joins its work while that can still take another name, and counts as
    # stored from when it is handed over for writing until the database says so itself.
    _open: dict[bytes, Work] = field(default_factory=dict)
    _being_written: set[bytes] = field(default_factory=set)
    _stored: set[bytes] = field(default_factory=set)

    def works(self, read: Iterable[Work]) -> Iterator[Work]:
        """Yield the works that were read, each content once, decoded or failed."""
        return self.prefetch.decode(self._distinct(read), self._decode)

    def needs(self, work: Work) -> int:
        """Return the bytes of memory that decoding a work takes here."""
        work.is_apart = self.caution.covers(work)
        recipe = self.collection.recipe
        return 0 if work.is_apart else footprint(work.data, recipe.size, recipe.fit)

    def hand_over(self, works: Sequence[Work]) -> set[bytes]:
        """Close works for further names; return the contents that are being written now.

        Their pictures have been through the network: nobody needs them any more.
        """
        self.prefetch.release(works)
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

    def _distinct(self, works: Iterable[Work]) -> Iterator[Work]:
        account = self.prefetch.account
        # Fewer at a time where large files have filled their part of the memory.
        for chunk in chunks(works, CONTENTS_ASKED, lambda: account.has_room(PART_FOR_FILES)):
            hashes = {w.sha256 for w in chunk if not w.error}
            self._stored = images.known(self.connection, self.collection.extractor_id, hashes)
            for work in chunk:
                if open_work := self._open.get(work.sha256):
                    open_work.files += work.files
                    self.prefetch.release([work])
                    continue
                work.is_known = work.sha256 in self._stored | self._being_written
                if not work.error and not work.is_known:
                    self._open[work.sha256] = work
                yield work

    def _decode(self, work: Work) -> Work:
        max_pixels = self.prefetch.limits.max_pixels
        recipe = self.collection.recipe
        if work.is_apart:
            return decode_work(work, recipe, max_pixels, apart=self.caution.decode)
        return decode_work(work, recipe, max_pixels, defer=self.defer())


def file_works(
    intake: Intake,
    files: Iterable[SourceFile],
    progress: Progress,
    *,
    retry_failed: bool,
    exif: bool = False,
) -> Iterator[Work]:
    """Yield the works that the changed ones among the files make."""
    found = changed(
        *(intake.connection, intake.collection, files, progress),
        retry_failed=retry_failed,
        exif=exif,
    )
    read = partial(read_file, exif=exif)
    return intake.works(intake.prefetch.read(read, found, lambda file: file.size, intake.needs))


def decode_work(
    work: Work,
    recipe: Recipe,
    max_pixels: int,
    *,
    defer: bool = False,
    apart: Callable[[bytes, int, Fit, int, Canvas], Decoded] | None = None,
) -> Work:
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
    return work
