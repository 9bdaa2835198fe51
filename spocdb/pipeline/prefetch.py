"""Prefetching: images are read and decoded a few ahead of whoever takes them, in bounded memory.

The number of images ahead is bounded, and so are their bytes. Before a file is read, its size is
taken from the budget; before it is decoded, what its decoder needs; afterwards only what is left.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from spocdb.errors import ImageTooLarge
from spocdb.pipeline.budget import Account, of_process
from spocdb.pipeline.work import Work
from spocdb.records import Decoded, Jpeg
from spocdb.settings import Limits
from spocdb.sources.source import Get, Ref

Item = TypeVar("Item")
Result = TypeVar("Result")

# Undecoded files never fill the budget: decoders, which free memory, could not go on.
PART_FOR_FILES = 0.5


# Seconds that an image behind a slow one waits for it.
PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Prefetcher:
    """Threads, and the part of the budget that one run holds; used by one thread."""

    pool: Executor
    account: Account
    limits: Limits

    def read(
        self,
        images: Iterable[tuple[Ref, Get]],
        work_of: Callable[[Ref, Get, int], Work[Ref]],
        needs_of: Callable[[Work[Ref]], int],
    ) -> Iterator[Work[Ref]]:
        """Read images in order; `needs_of` tells what decoding a work takes.

        A ref's size is a guess: a file may have grown, and the size of what is fetched is not known
        before. What turns out larger is read again when it is its turn.
        """

        def allowed(ref: Ref) -> int:
            return min(max(ref.size or 0, self._share), self.limits.max_bytes)

        def reserve(image: tuple[Ref, Get], must: bool) -> bool:
            return self.account.take(allowed(image[0]), part=PART_FOR_FILES, must=must)

        def read(ref: Ref, get: Get, most: int) -> Work[Ref]:
            work = work_of(ref, get, most)
            work.held, work.needs = len(work.data), needs_of(work) if work.data else 0
            self.account.give(most - work.held)
            return work

        def read_early(image: tuple[Ref, Get]) -> tuple[tuple[Ref, Get], Work[Ref], bool]:
            most = allowed(image[0])
            work = read(*image, most)
            is_cut = isinstance(work.error, ImageTooLarge) and most < self.limits.max_bytes
            return image, work, is_cut

        for image, work, is_cut in prefetch(
            self.pool, read_early, images, self.limits.ahead, reserve, PATIENCE
        ):
            if is_cut:
                self.account.take(self.limits.max_bytes, must=True)
                yield self.pool.submit(read, *image, self.limits.max_bytes).result()
            else:
                yield work

    def decode(
        self, works: Iterable[Work[Ref]], decode_one: Callable[[Work[Ref]], None]
    ) -> Iterator[Work[Ref]]:
        """Decode the works in order; `decode_one` leaves none of their bytes."""

        def reserve(work: Work[Ref], must: bool) -> bool:
            return self.account.take(work.needs, must=must)

        def decode(work: Work[Ref]) -> Work[Ref]:
            held = work.held + work.needs
            decode_one(work)
            work.held, work.needs = _size(work.picture), 0
            self.account.give(held - work.held)
            return work

        judged = map(self._judged, works)
        return prefetch(self.pool, decode, judged, self.limits.ahead, reserve, PATIENCE)

    def release(self, works: Iterable[Work[Ref]]) -> None:
        """Give back what works held that nobody needs any more."""
        for work in works:
            self.account.give(work.held)
            work.held = 0

    @property
    def _share(self) -> int:
        """Return what each file read ahead may have without asking: all of them half their part."""
        return int(PART_FOR_FILES * self.limits.memory) // (2 * self.limits.ahead)

    def _judged(self, work: Work[Ref]) -> Work[Ref]:
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
def prefetching(limits: Limits) -> Iterator[Prefetcher]:
    """Open the threads of one run."""
    with (
        Account(of_process(limits.memory)) as account,
        threads(limits.threads, "decode") as pool,
    ):
        yield Prefetcher(pool, account, limits)


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


def prefetch(
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
