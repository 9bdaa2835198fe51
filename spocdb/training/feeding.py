"""Feeding: a network's next batches are made in threads, a few ahead; and saying how far it is."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from spocdb.progress import Say

Item = TypeVar("Item")
Made = TypeVar("Made")

AHEAD = 3
SECONDS_BETWEEN_LINES = 30.0


def feed(groups: Iterable[Sequence[Item]], make: Callable[[Item], Made]) -> Iterator[list[Made]]:
    """Yield what `make` gives for each item of each group, in order."""
    waiting: deque[list[Future[Made]]] = deque()
    pool = ThreadPoolExecutor(os.cpu_count(), "views")
    try:
        for group in groups:
            waiting.append([pool.submit(make, item) for item in group])
            if len(waiting) >= AHEAD:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def in_groups(items: Sequence[Item], n: int) -> list[Sequence[Item]]:
    """Cut a sequence into groups of n, the last one perhaps smaller."""
    return [items[i : i + n] for i in range(0, len(items), n)]


def paced(say: Say) -> Say:
    """Return a `say` that says a line at most every half minute."""
    said = time.monotonic()

    def tell(line: str) -> None:
        nonlocal said
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            say(line)

    return tell
