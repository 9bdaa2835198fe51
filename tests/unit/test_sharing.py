"""Threads whose images wait at the same time share the next batch; real threads, no timing."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Event, Lock

import numpy as np
import pytest

from spocdb.features.sharing import Sharing
from spocdb.records import Float32Array, UInt8Array
from tests.fixtures.waiting import SECONDS, WaitUntil

Start = Callable[[int], "Future[Float32Array]"]

# An image with this value is bad.
BAD = 13


def picture(value: int) -> UInt8Array:
    """Return an image of one value; each value has its own size."""
    return np.full((value + 1, 2, 3), value, np.uint8)


class Gated:
    """Stands for the network: notes each batch, and holds the first one until it is opened."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_begun, self.is_open = Event(), Event()

    def __call__(self, pixels: Sequence[UInt8Array]) -> Float32Array:
        values = [int(image[0, 0, 0]) for image in pixels]
        self.batches.append(values)
        self.is_begun.set()
        assert self.is_open.wait(SECONDS)
        if BAD in values:
            raise ValueError(f"{BAD} of {len(values)}")
        return np.array(values, np.float32)[:, None]


@pytest.fixture
def network() -> Iterator[Gated]:
    """Return a network; whatever happens, it holds no thread after the test."""
    made = Gated()
    yield made
    made.is_open.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def wait_behind_the_first(
    sharing: Sharing,
    network: Gated,
    values: Sequence[int],
    threads: ThreadPoolExecutor,
    wait_until: WaitUntil,
) -> "list[Future[Float32Array]]":
    """Start a call for 0, whose batch is held, and one for each value, which come to wait."""
    calls = [threads.submit(sharing.compute, picture(0), network)]
    assert network.is_begun.wait(SECONDS)
    for n, value in enumerate(values, 1):
        calls.append(threads.submit(sharing.compute, picture(value), network))
        wait_until(lambda n=n: sharing.n_waiting == n)
    return calls


def test_a_single_caller_computes_at_once(network: Gated) -> None:
    network.is_open.set()
    sharing = Sharing(1, 8)
    for value in (5, 6):
        assert sharing.compute(picture(value), network).tolist() == [value]
    assert network.batches == [[5], [6]]


def test_those_that_wait_share_the_next_batch(
    network: Gated, threads: ThreadPoolExecutor, wait_until: WaitUntil
) -> None:
    sharing, values = Sharing(1, 64), list(range(1, 11))
    calls = wait_behind_the_first(sharing, network, values, threads, wait_until)
    network.is_open.set()
    assert [call.result(SECONDS).tolist() for call in calls] == [[n] for n in [0, *values]]
    assert network.batches == [[0], values]
    assert sharing.n_waiting == 0


def test_a_batch_grows_no_larger_than_the_memory_allows(
    network: Gated, threads: ThreadPoolExecutor, wait_until: WaitUntil
) -> None:
    sharing = Sharing(1, 2)
    calls = wait_behind_the_first(sharing, network, [1, 2, 3, 4, 5], threads, wait_until)
    network.is_open.set()
    assert [call.result(SECONDS).tolist() for call in calls] == [[n] for n in range(6)]
    # In the order in which they came.
    assert network.batches == [[0], [1, 2], [3, 4], [5]]


def test_a_bad_image_fails_its_own_call_only(
    network: Gated, threads: ThreadPoolExecutor, wait_until: WaitUntil
) -> None:
    sharing = Sharing(1, 64)
    calls = wait_behind_the_first(sharing, network, [1, BAD, 3], threads, wait_until)
    network.is_open.set()
    with pytest.raises(ValueError, match=f"^{BAD} of 1$"):
        calls[2].result(SECONDS)
    assert [calls[i].result(SECONDS).tolist() for i in (0, 1, 3)] == [[0], [1], [3]]
    assert network.batches == [[0], [1, BAD, 3], [1], [BAD], [3]]
    # The next one is computed as if nothing had been.
    assert sharing.compute(picture(4), network).tolist() == [4]


def test_each_lane_has_a_batch(threads: ThreadPoolExecutor) -> None:
    """Each waits in the network for the other: one after the other they would wait for ever."""
    sharing, both = Sharing(2, 64), Barrier(2, timeout=SECONDS)

    def meet(pixels: Sequence[UInt8Array]) -> Float32Array:
        both.wait()
        return np.zeros((len(pixels), 1), np.float32)

    calls = [threads.submit(sharing.compute, picture(n), meet) for n in range(2)]
    assert all(call.result(SECONDS).tolist() == [0] for call in calls)


def test_a_thread_that_is_interrupted_leaves_its_batch_to_another(
    network: Gated, threads: ThreadPoolExecutor, wait_until: WaitUntil
) -> None:
    sharing, is_interrupted = Sharing(1, 64), Lock()

    def interrupt_once(pixels: Sequence[UInt8Array]) -> Float32Array:
        rows = network(pixels)
        if len(pixels) > 1 and is_interrupted.acquire(blocking=False):
            raise KeyboardInterrupt
        return rows

    first = threads.submit(sharing.compute, picture(0), network)
    assert network.is_begun.wait(SECONDS)
    calls = []
    for n in (1, 2, 3):
        calls.append(threads.submit(sharing.compute, picture(n), interrupt_once))
        wait_until(lambda n=n: sharing.n_waiting == n)
    network.is_open.set()
    assert first.result(SECONDS).tolist() == [0]
    errors = [call.exception(SECONDS) for call in calls]
    assert [type(error) for error in errors].count(KeyboardInterrupt) == 1
    answered = [n for n, error in enumerate(errors) if error is None]
    assert len(answered) == 2
    assert [calls[n].result().tolist() for n in answered] == [[n + 1] for n in answered]


def test_many_threads_get_each_their_own(threads: ThreadPoolExecutor) -> None:
    sharing, sizes = Sharing(2, 5), list[int]()

    def compute(pixels: Sequence[UInt8Array]) -> Float32Array:
        sizes.append(len(pixels))
        if any(image[0, 0, 0] == BAD for image in pixels):
            raise ValueError
        return np.array([image[0, 0, :1] for image in pixels], np.float32)

    def ask(n: int) -> bool:
        try:
            return int(sharing.compute(picture(n), compute)[0]) == n
        except ValueError:
            return n == BAD

    assert all(threads.map(ask, [n % 200 for n in range(2000)]))
    assert max(sizes) <= 5
