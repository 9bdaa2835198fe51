"""Sharing: images that several threads want computed at the same time go into one batch."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition

from spocdb.records import Float32Array, UInt8Array

# N images (H, W, 3), whose sizes may differ -> (N, C).
Compute = Callable[[Sequence[UInt8Array]], Float32Array]


class Sharing:
    """Computes single images for many threads; those that wait share the next batch.

    A caller that finds a free lane computes at once. The others wait. When a batch ends, one of
    the waiting threads computes for all of them. So there is no extra thread, and no batch waits
    until it is full.
    """

    def __init__(self, n_lanes: int, largest_batch: int) -> None:
        self._n_free, self._largest_batch = n_lanes, largest_batch
        # Guards the fields, and wakes the waiting threads when a batch ends.
        self._changed = Condition()
        self._waiting: list[_Call] = []

    @property
    def n_waiting(self) -> int:
        """Return the number of images that wait for the end of a batch."""
        return len(self._waiting)

    def compute(self, pixels: UInt8Array, compute: Compute) -> Float32Array:
        """Return an image's row (C,): (H, W, 3) -> (C,), computed in a batch with what waits.

        All callers give the same `compute`. An error is raised to the caller whose image it
        concerns.
        """
        call = _Call(pixels)
        with self._changed:
            self._waiting.append(call)
        while batch := self._next_batch(call):
            try:
                _answer(batch, compute)
            finally:
                self._end(batch)
        return call.answer.result()

    def _next_batch(self, call: "_Call") -> list["_Call"]:
        """Wait, and return the calls that this thread has to compute; none if its own is done."""
        with self._changed:
            # A call that another thread computes is no longer among those that wait.
            self._changed.wait_for(
                lambda: call.answer.done() or (self._n_free and call in self._waiting)
            )
            if call.answer.done():
                return []
            self._n_free -= 1
            batch = self._waiting[: self._largest_batch]
            del self._waiting[: len(batch)]
            return batch

    def _end(self, batch: list["_Call"]) -> None:
        with self._changed:
            self._n_free += 1
            # Some are left if this thread was interrupted: another one computes them.
            self._waiting[:0] = [call for call in batch if not call.answer.done()]
            self._changed.notify_all()


class _Call:
    """An image (H, W, 3), and its row (C,) or error once it is computed."""

    def __init__(self, pixels: UInt8Array) -> None:
        self.pixels = pixels
        self.answer: Future[Float32Array] = Future()


def _answer(batch: list[_Call], compute: Compute) -> None:
    """Compute a batch; if that fails, each image alone, so that only the bad ones fail."""
    try:
        rows = compute([call.pixels for call in batch])
    except Exception as error:
        if len(batch) == 1:
            batch[0].answer.set_exception(error)
            return
    else:
        for call, row in zip(batch, rows, strict=True):
            call.answer.set_result(row)
        return
    for call in batch:
        _answer([call], compute)
