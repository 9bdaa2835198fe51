"""The intake: from images wherever they are to decoded ones, each content once.

    files -> changed since last time? -> read, sha256 -> descriptor stored? -> decode

Every step is a generator that pulls from the one before, and the slow ones run a few items ahead
in a pool of threads: nothing is read before it is nearly wanted. The first two steps are those of
files; the rows of a table come from spocdb/worker.py.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ImageError, UnreadableImage
from spocdb.images.decode import decode, plain_jpeg
from spocdb.images.exif import exif_metadata
from spocdb.images.names import listed, problem
from spocdb.images.sources import read
from spocdb.progress import Progress
from spocdb.records import Decoded, Jpeg, Recipe, SourceFile

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each question to the database is asked for so many files at once. Changed files are held with
# their bytes, so these are few.
FILES_ASKED, CONTENTS_ASKED = 512, 16
# A file with more for each pixel than four uncompressed channels of 32 bits is no photograph.
BYTES_PER_PIXEL = 16


@dataclass(slots=True)
class Work:
    """One content on its way to the database, under one or more file names.

    Ends with an `error`, or a `picture`, or neither: then its descriptor is stored already.
    """

    files: list[SourceFile]
    sha256: bytes = b""
    data: bytes = b""
    is_known: bool = False
    picture: Decoded | Jpeg | None = None
    error: ImageError | None = None
    # What is said in the file, if it is asked for.
    exif: dict[str, Any] = field(default_factory=dict)


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


def read_file(file: SourceFile, max_pixels: int, *, exif: bool = False) -> Work:
    """Read a file into a work, or the reason why not."""
    if why_not := problem(file.path):
        return Work([replace(file, path=listed(file.path))], error=UnreadableImage(why_not))
    work = read_work(file, lambda: read(file, BYTES_PER_PIXEL * max_pixels))
    if exif and not work.error:
        work.exif = exif_metadata(work.data)
    return work


def read_work(file: SourceFile, read: Callable[[], bytes]) -> Work:
    """Return a work of what `read` returns, or of the ImageError that it raises."""
    try:
        data = read()
    except ImageError as exc:
        return Work([file], error=exc)
    return Work([file], hashlib.sha256(data).digest(), data)


@dataclass(slots=True)
class Intake:
    """The steps from bytes on, and what is on its way between them; used by one thread."""

    connection: Connection
    collection: Collection
    pool: Executor
    ahead: int
    max_pixels: int
    # Whether JPEGs are left to the device by now.
    defer: Callable[[], bool] = lambda: False
    # A content met again joins its work while that can still take another name, and counts as
    # stored from when it is handed over for writing until the database says so itself.
    _open: dict[bytes, Work] = field(default_factory=dict)
    _being_written: set[bytes] = field(default_factory=set)
    _stored: set[bytes] = field(default_factory=set)

    def works(self, read: Iterable[Work]) -> Iterator[Work]:
        """Yield the works that were read, each content once, decoded or failed."""
        return ahead(self.pool, self._decode, self._distinct(read), self.ahead)

    def hand_over(self, works: Iterable[Work]) -> set[bytes]:
        """Close works for further names; return the contents that are being written now."""
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
        for chunk in chunks(works, CONTENTS_ASKED):
            hashes = {w.sha256 for w in chunk if not w.error}
            self._stored = images.known(self.connection, self.collection.extractor_id, hashes)
            for work in chunk:
                if open_work := self._open.get(work.sha256):
                    open_work.files += work.files
                    continue
                work.is_known = work.sha256 in self._stored | self._being_written
                if not work.error and not work.is_known:
                    self._open[work.sha256] = work
                yield work

    def _decode(self, work: Work) -> Work:
        return decode_work(work, self.collection.recipe, self.max_pixels, defer=self.defer())


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
    read = partial(read_file, max_pixels=intake.max_pixels, exif=exif)
    return intake.works(ahead(intake.pool, read, found, intake.ahead))


def decode_work(work: Work, recipe: Recipe, max_pixels: int, *, defer: bool = False) -> Work:
    """Turn a work's bytes into what a recipe's network takes, or into the reason why not.

    `defer` leaves plain JPEGs as they are, for the network's device.
    """
    if not work.error and not work.is_known:
        try:
            jpeg = plain_jpeg(work.data, max_pixels) if defer else None
            work.picture = jpeg or decode(work.data, recipe.size, recipe.fit, max_pixels)
        except ImageError as exc:
            work.error = exc
    work.data = b""
    return work


def ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], n: int
) -> Generator[Result, None, None]:
    """Map in order, at most `n` items ahead of who asks."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def chunks(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Take the items `n` at a time."""
    iterator = iter(items)
    while chunk := list(islice(iterator, n)):
        yield chunk
