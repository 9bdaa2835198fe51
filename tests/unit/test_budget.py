"""The memory budget: always bounded, no thread waits for ever, nothing is held at the end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spocdb.errors import ImageTooLarge
from spocdb.pipeline.budget import Account, Budget, of_process
from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.prefetch import Prefetcher, prefetching, threads
from spocdb.pipeline.work import Work, work_of
from spocdb.records import Decoded, ImageRef, Recipe
from spocdb.settings import Limits
from tests.fixtures.waiting import WaitUntil

TOTAL, LARGEST = 1000, 400


def test_what_is_taken_is_counted_and_what_does_not_fit_is_not_taken() -> None:
    budget = Budget(100)
    with Account(budget) as first, Account(budget) as second:
        assert first.take(60)
        assert not second.take(60)
        assert not first.take(10, part=0.5)
        assert second.take(60, must=True)
        assert (first.held, second.held, budget.held) == (60, 60, 120)
        assert not first.has_room(1.0)
        second.give(60)
        assert first.take(40)
        assert budget.held == 100
    assert budget.held == 0


def test_after_the_end_nothing_is_given_back_twice() -> None:
    budget = Budget(100)
    with Account(budget) as account:
        account.take(60)
    # As a thread would that is still running after the run ended.
    account.give(60)
    assert account.take(10)
    assert budget.held == 0


def test_all_runs_of_a_process_share_a_budget() -> None:
    with Account(of_process(12_345)) as first, Account(of_process(12_345)) as second:
        first.take(12_000)
        assert not second.take(400)


@dataclass(frozen=True)
class Photo:
    """One image: its size by the source, its real size, and the memory for decoding."""

    said: int
    size: int
    needs: int


PHOTOS = st.lists(
    st.builds(
        Photo, st.integers(0, LARGEST), st.integers(1, LARGEST), st.integers(0, TOTAL - LARGEST)
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(PHOTOS, st.integers(1, 8), st.integers(1, 5), st.integers(1, 9))
def test_whatever_comes_is_done_in_order_within_the_total_and_one_image(
    photos: list[Photo], n_ahead: int, n_threads: int, batch: int
) -> None:
    budget, lock = Budget(TOTAL), threading.Lock()
    really, most = 0, 0

    def change(by: int) -> None:
        nonlocal really, most
        with lock:
            really += by
            most = max(most, really)

    def get(photo: Photo, max_bytes: int) -> bytes:
        if photo.size > max_bytes:
            raise ImageTooLarge("too large")
        change(photo.size)
        return bytes(photo.size)

    def needs_of(work: Work[ImageRef]) -> int:
        return next(p.needs for p in photos if str(p) == work.refs[0].name)

    def decode_one(work: Work[ImageRef]) -> None:
        if not work.error:
            change(work.needs)
            work.picture = Decoded(np.zeros((1, 1, 3), np.uint8), 1, 1)
            change(3 - work.needs - len(work.data))
        work.data = b""

    images = ((ImageRef(str(p), size=p.said), partial(get, p)) for p in photos)
    done: list[Work[ImageRef]] = []
    with ThreadPoolExecutor(n_threads) as pool, Account(budget) as account:
        limits = Limits(1, LARGEST, TOTAL, n_threads, n_ahead)
        prefetcher = Prefetcher(pool, pool, account, limits)
        read = prefetcher.read(images, work_of, needs_of)
        held: list[Work[ImageRef]] = []
        for work in prefetcher.decode(read, decode_one):
            held.append(work)
            if len(held) == batch:
                prefetcher.release(held)
                change(-3 * len(held))
                done, held = done + held, []
        prefetcher.release(held)
        done += held
        assert account.held == 0
    assert budget.held == 0
    assert [work.refs[0].name for work in done] == [str(photo) for photo in photos]
    assert all(work.picture for work in done)
    # One image may exceed the total, and it may be read already when that happens.
    assert most <= TOTAL + LARGEST


def test_an_image_that_would_not_fit_alone_is_refused_before_it_is_decoded() -> None:
    limits = Limits(10**9, 10**9, 300 * 2**20)
    recipe = Recipe("mini", "", "", True, 64, "warp", True, "sum", None, None, "bilinear", "white")
    image = ImageRef("/large.tif", size=100), lambda most: b"never decoded"
    with prefetching(limits) as prefetcher:
        read = prefetcher.read([image], work_of, lambda work: 400 * 2**20)
        (work,) = prefetcher.decode(read, lambda work: decode_work(work, recipe, 10**9))
    assert isinstance(work.error, ImageTooLarge)
    assert str(work.error) == (
        "decoding it takes 400 MB, and all images together may take 300 MB: "
        "raise SPOCDB_MEMORY if the machine has more"
    )


def test_no_memory_is_one_failed_image() -> None:
    def fail(max_bytes: int) -> bytes:
        raise MemoryError

    work = work_of(ImageRef("/a.png"), fail, 100)
    assert type(work.error).__name__ == "ProcessLost"


def test_nobody_waits_for_a_thread_that_hangs_once_interrupted() -> None:
    go_on = threading.Event()

    def hang() -> None:
        with threads(1, "hangs") as pool:
            pool.submit(go_on.wait, 60)
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            hang()
        assert not go_on.is_set()
    finally:
        go_on.set()


def test_runs_take_nothing_more_while_a_query_waits_for_its_bytes(wait_until: WaitUntil) -> None:
    budget, is_over = Budget(100), threading.Event()

    def query() -> None:
        with budget.lent(50):
            is_over.wait(60)

    with ThreadPoolExecutor() as pool, Account(budget) as run:
        run.take(60)
        waiting = pool.submit(query)
        wait_until(lambda: not run.take(0))
        assert not run.take(10)
        assert run.take(10, must=True)
        run.give(20)
        wait_until(lambda: budget.held == 100)
        assert run.take(0)
        is_over.set()
        waiting.result()
        assert run.take(50)


def test_queries_get_their_bytes_in_the_order_in_which_they_came(wait_until: WaitUntil) -> None:
    budget, came = Budget(100), list[str]()

    def query(name: str, n: int) -> None:
        with budget.lent(n):
            came.append(name)

    with ThreadPoolExecutor() as pool, Account(budget) as run:
        run.take(100)
        pool.submit(query, "large", 95)
        wait_until(lambda: not run.take(0))
        small = pool.submit(query, "small", 10)
        run.give(50)  # room for the small one alone
        with pytest.raises(TimeoutError):
            small.result(0.2)
        run.give(50)
        small.result(60)
    assert came == ["large", "small"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2 * TOTAL), max_size=30))
def test_what_is_lent_to_threads_stays_within_the_total_or_is_one(sizes: list[int]) -> None:
    budget, lock, held = Budget(TOTAL), threading.Lock(), [0]

    def work(n: int) -> bool:
        with budget.lent(n):
            with lock:
                held.append(n)
                is_within = sum(held) <= TOTAL or sum(held) == n
            with lock:
                held.remove(n)
        return is_within

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, sizes))
    assert budget.held == 0
