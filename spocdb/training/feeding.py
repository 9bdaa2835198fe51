"""Feeding: threads prefetch a network's batches; and progress lines in the log."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import TypeVar

from spocdb.machine import n_cores
from spocdb.pipeline.prefetch import prefetch, threads

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Made = TypeVar("Made")

# Groups prefetched.
AHEAD = 3
SECONDS_BETWEEN_LINES = 30.0


def feed(groups: Iterable[Sequence[Item]], make: Callable[[Item], Made]) -> Iterator[list[Made]]:
    """Yield each group's items after `make`, in order, prefetched in threads."""
    groups = list(groups)
    items = chain.from_iterable(groups)
    n_ahead = AHEAD * max(map(len, groups), default=1)
    with (
        threads(n_cores(), "views") as pool,
        closing(prefetch(pool, make, items, n_ahead)) as made,
    ):
        for group in groups:
            yield list(islice(made, len(group)))


def paced() -> Callable[[str], None]:
    """Return a function that logs a progress line, at most every half minute."""
    said = time.monotonic()

    def tell(line: str) -> None:
        nonlocal said
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            log.info("%s", line)

    return tell
