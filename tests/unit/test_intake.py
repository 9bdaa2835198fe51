"""Prefetch: in order, within its limit, and no work without a consumer."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import pytest

from spocdb.pipeline.chunks import chunks
from spocdb.pipeline.prefetch import prefetch


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_results_come_in_order_whatever_is_ready_first(pool: ThreadPoolExecutor) -> None:
    second_is_done = threading.Event()

    def first_waits_for_the_second(n: int) -> int:
        if n == 0:
            assert second_is_done.wait(30)
        if n == 1:
            second_is_done.set()
        return n

    assert list(prefetch(pool, first_waits_for_the_second, range(20), 4)) == list(range(20))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_no_more_than_n_items_are_taken_prefetch(pool: ThreadPoolExecutor, n: int) -> None:
    taken = count()
    results = prefetch(pool, lambda item: item, taken, n)
    for n_asked in range(1, 30):
        assert next(results) == n_asked - 1
    assert next(taken) == 29 + n - 1


def test_fewer_items_than_n_are_all_given(pool: ThreadPoolExecutor) -> None:
    assert list(prefetch(pool, str, [1, 2], 8)) == ["1", "2"]


def test_what_takes_long_is_overtaken_and_comes_in_the_end(pool: ThreadPoolExecutor) -> None:
    others_came = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert others_came.wait(60)
        return item

    results = prefetch(pool, work, range(6), 3, patience=0.01)
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    others_came.set()
    assert list(results) == [0]


def test_an_error_comes_where_its_result_would(pool: ThreadPoolExecutor) -> None:
    results = prefetch(pool, lambda n: 1 // (n - 2), range(9), 4)
    assert list(islice(results, 2)) == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_who_stops_asking_stops_the_work() -> None:
    began, go_on = [], threading.Event()

    def work(n: int) -> int:
        began.append(n)
        assert n == 0 or go_on.wait(30)
        return n

    with ThreadPoolExecutor(1) as pool:
        results = prefetch(pool, work, range(9), 6)
        next(results)
        results.close()
        go_on.set()
    assert began in ([0], [0, 1])


def test_chunks_are_taken_one_at_a_time() -> None:
    numbers = iter(range(7))
    taken = chunks(numbers, 3)
    assert next(taken) == [0, 1, 2]
    assert next(numbers) == 3
    assert list(taken) == [[4, 5, 6]]
