"""A budget of bytes for images in flight: prefetched files, decoders, decoded pictures.

A prefetching run never blocks on the budget. Before it submits work, it reserves the bytes; if they
do not fit, it takes finished results instead. A run without images in flight proceeds regardless of
the budget, so that two runs cannot deadlock. Each run may exceed the total by one image.

A query's thread does wait for its bytes, first come first served. While one waits, runs prefetch
nothing more: otherwise they would take every freed byte before it.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Condition, Lock


class Budget:
    """Counts the bytes held of a total. Thread-safe."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held, self._changes = 0, Condition()
        self._waiting: deque[object] = deque()

    @property
    def held(self) -> int:
        """Return the bytes that are held now."""
        return self._held

    def take(self, n: int, most: float | None) -> bool:
        """Hold `n` more bytes, with `most` None in any case; return whether they are held.

        Otherwise they are held if that does not exceed `most`, and no thread waits in `lent`.
        """
        with self._changes:
            fits = most is None or (not self._waiting and self._held + n <= most)
            self._held += n if fits else 0
            return fits

    def give(self, n: int) -> None:
        """Hold `n` bytes fewer."""
        with self._changes:
            self._held -= n
            self._changes.notify_all()

    @contextmanager
    def lent(self, n: int) -> Iterator[None]:
        """Hold `n` bytes for the block; wait until they fit, or until nothing else is held.

        Threads get their bytes in the order in which they came. Only for threads that hold nothing
        else, which therefore cannot deadlock.
        """
        turn = object()
        with self._changes:
            self._waiting.append(turn)
            try:
                self._changes.wait_for(lambda: self._waiting[0] is turn and self._fits(n))
                self._held += n
            finally:
                self._waiting.remove(turn)
                self._changes.notify_all()
        try:
            yield
        finally:
            self.give(n)

    def _fits(self, n: int) -> bool:
        return not self._held or self._held + n <= self.total


class Account(AbstractContextManager["Account"]):
    """The bytes that one run holds of a budget; leaving the context releases them."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held, self._is_open, self._lock = 0, True, Lock()

    @property
    def total(self) -> int:
        """Return the bytes that all runs share."""
        return self._budget.total

    @property
    def held(self) -> int:
        """Return the bytes that this run holds now."""
        return self._held

    def take(self, n: int, *, part: float = 1.0, must: bool = False) -> bool:
        """Hold `n` more bytes if all runs together then hold at most this part of the total.

        While a query waits for bytes, none are held. With `must` they are held in any case. Returns
        whether they are held.
        """
        most = None if must else part * self.total
        with self._lock:
            taken = self._budget.take(n, most) if self._is_open else True
            self._held += n if taken and self._is_open else 0
            return taken

    def give(self, n: int) -> None:
        """Hold `n` bytes fewer."""
        with self._lock:
            # An abandoned thread may call this after the end, when everything was released.
            if self._is_open:
                self._held -= n
                self._budget.give(n)

    def has_room(self, part: float) -> bool:
        """Return whether all runs together hold less than this part of the total."""
        return self._budget.held < part * self.total

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._is_open = False
            self._budget.give(self._held)
            self._held = 0


@cache
def of_process(total: int) -> Budget:
    """Return the budget that this process's runs with this total share."""
    return Budget(total)
