"""Answers that all who ask within a short time share, so that pollers add no work."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Shared(Generic[Answer]):
    """One answer for each key, kept for `seconds`, or for as long as it took if that is longer.

    So a slow count takes at most half of the time, however many clients poll. Those who wait hold
    no thread. An error is kept only if it took longer than `seconds`, as a count that ends at its
    time limit.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: dict[str, asyncio.Task[Answer]] = {}

    async def get(self, key: str, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Return what `ask` returns, or what it returned a moment ago."""
        if (task := self._asked.get(key)) is None:
            began = asyncio.get_running_loop().time()
            task = self._asked[key] = asyncio.create_task(ask())
            task.add_done_callback(partial(self._keep, key, began))
        # A client that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def _keep(self, key: str, began: float, task: "asyncio.Task[Answer]") -> None:
        loop = asyncio.get_running_loop()
        took = loop.time() - began
        if task.cancelled() or (task.exception() and took < self._seconds):
            del self._asked[key]
            return
        loop.call_later(max(self._seconds, took), self._asked.pop, key)
