"""Prefetching: images are read and decoded a few ahead of whoever takes them, in bounded memory.

The number of images ahead is bounded, and so are their bytes. Before a file is read, its size is
taken from the budget; before it is decoded, what its decoder needs; afterwards only what is left.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from spocdb.errors import ImageError, ImageTooLarge, ProcessLost
from spocdb.machine import n_cores
from spocdb.pipeline.budget import Account, of_process
from spocdb.records import Decoded, Jpeg, SourceFile
from spocdb.settings import Limits

Item = TypeVar("Item")
Result = TypeVar("Result")

# Threads that read and decode, and images ahead of them.
N_THREADS = n_cores()
AHEAD = 8 * N_THREADS
# Undecoded files never fill the budget: decoders, which free memory, could not go on.
PART_FOR_FILES = 0.5


@dataclass(slots=True)
class Work:
    """One content on its way to the database, under one or more file names.

    Ends with an `error`, or a `picture`, or neither: then its descriptor is stored already. `held`
    are the bytes that it holds of the budget, `needs` those that decoding it takes beside them;
    `is_apart` has it decoded in a process of its own.
    """

    files: list[SourceFile]
    sha256: bytes = b""
    data: bytes = b""
    is_known: bool = False
    picture: Decoded | Jpeg | None = None
    error: ImageError | None = None
    # What is said in the file, if it is asked for.
    exif: dict[str, Any] = field(default_factory=dict)
    held: int = 0
    needs: int = 0
    is_apart: bool = False


# Seconds that an image behind a slow one waits for it.
PATIENCE = 1.0

# Reads an item of at most so many bytes into a work.
ReadOne = Callable[[Item, int], Work]


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Threads, and the part of the budget that one run holds; used by one thread."""

    pool: Executor
    account: Account
    limits: Limits
    n_ahead: int = AHEAD

    def read(
        self,
        read_one: ReadOne[Item],
        items: Iterable[Item],
        size_of: Callable[[Item], int],
        needs_of: Callable[[Work], int],
    ) -> Iterator[Work]:
        """Read the items in order; `needs_of` tells what decoding a work takes.

        `size_of` is a guess: a file may have grown, and the size of what is fetched is not known
        before. What turns out larger is read again when it is its turn.
        """

        def allowed(item: Item) -> int:
            return min(max(size_of(item), self._share), self.limits.max_bytes)

        def reserve(item: Item, must: bool) -> bool:
            return self.account.take(allowed(item), part=PART_FOR_FILES, must=must)

        def read(item: Item, most: int) -> Work:
            work = read_one(item, most)
            work.held, work.needs = len(work.data), needs_of(work) if work.data else 0
            self.account.give(most - work.held)
            return work

        def read_ahead(item: Item) -> tuple[Item, Work, bool]:
            most = allowed(item)
            work = read(item, most)
            is_cut = isinstance(work.error, ImageTooLarge) and most < self.limits.max_bytes
            return item, work, is_cut

        for item, work, is_cut in ahead(
            self.pool, read_ahead, items, self.n_ahead, reserve, PATIENCE
        ):
            if is_cut:
                self.account.take(self.limits.max_bytes, must=True)
                yield self.pool.submit(read, item, self.limits.max_bytes).result()
            else:
                yield work

    def decode(self, works: Iterable[Work], decode_one: Callable[[Work], Work]) -> Iterator[Work]:
        """Decode the works in order; `decode_one` leaves none of their bytes."""

        def reserve(work: Work, must: bool) -> bool:
            return self.account.take(work.needs, must=must)

        def decode(work: Work) -> Work:
            held = work.held + work.needs
            work = decode_one(work)
            work.held, work.needs = _size(work.picture), 0
            self.account.give(held - work.held)
            return work

        judged = map(self._judged, works)
        return ahead(self.pool, decode, judged, self.n_ahead, reserve, PATIENCE)

    def release(self, works: Iterable[Work]) -> None:
        """Give back what works held that nobody needs any more."""
        for work in works:
            self.account.give(work.held)
            work.held = 0

    @property
    def _share(self) -> int:
        """Return what each file read ahead may have without asking: all of them half their part."""
        return int(PART_FOR_FILES * self.limits.memory) // (2 * self.n_ahead)

    def _judged(self, work: Work) -> Work:
        """Refuse what would not fit even alone; what is not decoded needs nothing."""
        n_bytes = work.held + work.needs
        if not work.error and not work.is_known and n_bytes > self.limits.memory:
            work.error = ImageTooLarge(
                f"decoding it takes {n_bytes >> 20} MB, and all images together may take "
                f"{self.limits.memory >> 20} MB: raise SPOCDB_MEMORY if the machine has more",
                field="memory",
                bound=self.limits.memory,
            )
        if work.error or work.is_known:
            work.needs = 0
        return work


@contextmanager
def prefetching(limits: Limits, n_ahead: int = AHEAD) -> Iterator[Prefetch]:
    """Open the threads of one run."""
    with (
        Account(of_process(limits.memory)) as account,
        threads(N_THREADS, "decode") as pool,
    ):
        yield Prefetch(pool, account, limits, n_ahead)


@contextmanager
def threads(n: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads that nobody waits for once an exception ends the block.

    A thread may hang in a system call, such as a read from a mount that is gone.
    """
    pool = ThreadPoolExecutor(n, name)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def read_work(file: SourceFile, read: Callable[[], bytes]) -> Work:
    """Return a work of what `read` returns, or of the ImageError that it raises."""
    try:
        data = read()
    except ImageError as exc:
        return Work([file], error=exc)
    except MemoryError:
        return Work([file], error=ProcessLost("there was no memory to read it: try it again later"))
    return Work([file], hashlib.sha256(data).digest(), data)


def ahead(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n: int,
    reserve: Callable[[Item, bool], bool] = lambda item, must: True,
    patience: float | None = None,
) -> Generator[Result, None, None]:
    """Map in order, at most `n` items ahead of who asks.

    `reserve(item, must)` takes what an item needs and tells whether it has it; while it has not, no
    further item begins. It must take it where nothing else is on its way. With `patience`, those
    behind an item that takes longer than so many seconds overtake it.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            while not reserve(item, not waiting):
                yield _next(waiting, patience)
            waiting.append(pool.submit(function, item))
            if len(waiting) >= n:
                yield _next(waiting, patience)
        while waiting:
            yield _next(waiting, patience)
    finally:
        for future in waiting:
            future.cancel()


def _next(waiting: deque[Future[Result]], patience: float | None) -> Result:
    """Take the first result; one that takes long goes to the end of the queue, once around."""
    for _ in range(len(waiting) if patience is not None else 0):
        if wait([waiting[0]], patience).done:
            break
        waiting.rotate(-1)
    return waiting.popleft().result()


def chunks(
    items: Iterable[Item], n: int, go_on: Callable[[], bool] = lambda: True
) -> Iterator[list[Item]]:
    """Take the items `n` at a time, or fewer where it is not to go on."""
    iterator = iter(items)
    while chunk := list(islice(iterator, 1)):
        while len(chunk) < n and go_on() and (more := list(islice(iterator, 1))):
            chunk += more
        yield chunk


def _size(picture: Decoded | Jpeg | None) -> int:
    if picture is None:
        return 0
    return len(picture.data) if isinstance(picture, Jpeg) else picture.pixels.nbytes
