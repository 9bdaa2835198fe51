"""Lists of items, one after the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def chunks(
    items: Iterable[Item], n: int, go_on: Callable[[], bool] = lambda: True
) -> Iterator[list[Item]]:
    """Yield the items in lists of `n`, shorter while `go_on` returns False."""
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == n or not go_on():
            yield chunk
            chunk = []
    if chunk:
        yield chunk
