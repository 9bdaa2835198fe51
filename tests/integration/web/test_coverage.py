"""The coverage of an attached table is live, and pollers share one count."""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from spocdb.api import Engine
from spocdb.db import statements
from spocdb.web.sharing import Shared
from tests.integration.web.conftest import API, Serving

COVERAGE = f"{API}/collections/products/coverage"


@pytest.fixture
def client(
    stocked: Any, serve: Serving, caplog: pytest.LogCaptureFixture
) -> Iterator[httpx.Client]:
    """Return a client of a server that logs its statements."""
    caplog.set_level(logging.DEBUG, statements.log.name)
    with Engine(stocked.db.settings) as engine, serve(engine) as client:
        yield client


def n_counts(caplog: pytest.LogCaptureFixture) -> int:
    return sum("coverage_of" in record.getMessage() for record in caplog.records)


def test_many_pollers_cost_as_much_as_one(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: client.get(COVERAGE).json(), range(80)))
    assert all(one == found[0] for one in found)
    assert 1 <= n_counts(caplog) <= 1 + (time.monotonic() - began) / 2


def test_the_counts_move(client: httpx.Client, stocked: Any) -> None:
    def pending() -> int:
        (found,) = client.get(COVERAGE).json()
        return int(found["pending"])

    assert pending() == 0
    stocked.execute("INSERT INTO products VALUES (7, '0001.jpg', 'boot')")
    until = time.monotonic() + 20
    while pending() != 1:
        assert time.monotonic() < until
    (found,) = client.get(COVERAGE).json()
    assert (found["rows"], found["embedded"]) == (7, 6)


def test_an_answer_is_shared_while_it_is_made_and_an_error_is_not_kept() -> None:
    asked: list[str] = []

    async def ask(key: str) -> str:
        asked.append(key)
        await asyncio.sleep(0)
        if key == "bad":
            raise ValueError(key)
        return f"{key} {len(asked)}"

    async def all_of(shared: Shared[str], *keys: str) -> list[Any]:
        every = [shared.get(key, partial(ask, key)) for key in keys]
        return await asyncio.gather(*every, return_exceptions=True)

    async def run() -> None:
        shared = Shared[str](3600)
        assert await all_of(shared, "a", "a", "b", "a") == ["a 2", "a 2", "b 2", "a 2"]
        assert await all_of(shared, "a") == ["a 2"]
        for n in (1, 2):
            first, second = await all_of(shared, "bad", "bad")
            assert first is second and isinstance(first, ValueError)
            assert asked.count("bad") == n
        gone = asyncio.create_task(shared.get("c", partial(ask, "c")))
        await asyncio.sleep(0)
        gone.cancel()
        assert await all_of(shared, "c") == [f"c {len(asked)}"]
        assert asked.count("c") == 1
        slow = Shared[str](0.01)

        async def fail() -> str:
            asked.append("slow")
            await asyncio.sleep(0.2)
            raise ValueError("slow")

        for _ in range(2):
            with pytest.raises(ValueError, match="slow"):
                await slow.get("slow", fail)
        assert asked.count("slow") == 1, "an error that took long is kept as long"
        at_once = Shared[str](0)
        assert await all_of(at_once, "d") == [f"d {len(asked)}"]
        while asked.count("d") < 2:
            await all_of(at_once, "d")

    # In a thread of its own: a browser's event loop may run in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
