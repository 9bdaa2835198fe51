"""Prefetching: read and decode images ahead of the consumer, in bounded memory.

Both the number of prefetched images and their bytes are bounded. The file's size is reserved from
the budget before it is read, and the decoder's memory before it is decoded; afterwards only the
picture's bytes stay reserved.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from spocdb.errors import ImageTooLarge
from spocdb.pipeline.budget import Account, of_process
from spocdb.pipeline.work import Work
from spocdb.records import Decoded, Jpeg
from spocdb.settings import Limits
from spocdb.sources.source import Get, Ref

Item = TypeVar("Item")
Result = TypeVar("Result")

# Undecoded files get only a part of the budget, or no decoder could start and free memory.
PART_FOR_FILES = 0.5


# Seconds until an image overtakes a slow one before it.
PATIENCE = 1.0

# The most images of a run that are read at once. Reading waits, for a disk or a network, so it has
# more threads than there are cores, and they are started only while the others wait.
MOST_READERS = 64


@dataclass(frozen=True, slots=True)
class Prefetcher:
    """The threads of one run, and its account of the budget; used by one thread.

    `readers` get the bytes, and `pool` decodes them.
    """

    readers: Executor
    pool: Executor
    account: Account
    limits: Limits

    def read(
        self,
        images: Iterable[tuple[Ref, Get]],
        work_of: Callable[[Ref, Get, int], Work[Ref]],
        needs_of: Callable[[Work[Ref]], int],
    ) -> Iterator[Work[Ref]]:
        """Read images in order; `needs_of` returns the bytes that decoding a work takes.

        A ref's size is an estimate: a file may have grown, and the size of a URL's answer is
        unknown. If the bytes exceed the reservation, the image is read again at its turn with the
        full limit.
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
            self.readers, read_early, images, self.limits.ahead, reserve, PATIENCE
        ):
            if is_cut:
                self.account.take(self.limits.max_bytes, must=True)
                yield self.readers.submit(read, *image, self.limits.max_bytes).result()
            else:
                yield work

    def decode(
        self, works: Iterable[Work[Ref]], decode_one: Callable[[Work[Ref]], None]
    ) -> Iterator[Work[Ref]]:
        """Decode the works in order; `decode_one` must free their encoded bytes."""

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
        """Return the bytes that works hold to the budget."""
        for work in works:
            self.account.give(work.held)
            work.held = 0

    @property
    def _share(self) -> int:
        """Return the least reservation of a file, with which all of them take half their part."""
        return int(PART_FOR_FILES * self.limits.memory) // (2 * self.limits.ahead)

    def _judged(self, work: Work[Ref]) -> Work[Ref]:
        """Refuse a work that does not fit even alone; set the needs of undecoded works to 0."""
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
        threads(min(limits.ahead, MOST_READERS), "read") as readers,
        threads(limits.threads, "decode") as pool,
    ):
        yield Prefetcher(readers, pool, account, limits)


@contextmanager
def threads(n: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Open a thread pool; if an exception ends the block, its threads are not waited for.

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
    """Map in order, at most `n` items ahead of the consumer.

    `reserve(item, must)` reserves an item's resources and returns whether it could. Until it can,
    no further item starts. With `must`, when nothing else is in flight, it has to reserve them.
    With `patience`, later items overtake an item that takes longer than this many seconds.
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
    """Take the first result; rotate slow ones to the end of the queue, at most once around."""
    for _ in range(len(waiting) if patience is not None else 0):
        if wait([waiting[0]], patience).done:
            break
        waiting.rotate(-1)
    return waiting.popleft().result()


def _size(picture: Decoded | Jpeg | None) -> int:
    if picture is None:
        return 0
    if isinstance(picture, Jpeg):
        return len(picture.data)
    return picture.pixels.nbytes + (len(picture.small.webp) if picture.small else 0)
