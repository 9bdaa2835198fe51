"""Lists of items, one after the other."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(
    items: Iterable[Item], n: int, go_on: Callable[[], bool] = lambda: True
) -> Iterator[list[Item]]:
    """Yield the items in lists of `n`, shorter while `go_on` returns False."""
    iterator = iter(items)
    while chunk := list(islice(iterator, 1)):
        while len(chunk) < n and go_on() and (more := list(islice(iterator, 1))):
            chunk += more
        yield chunk
