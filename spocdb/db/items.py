"""Write a batch whole, or item by item if the database refuses one item of it."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import psycopg

from spocdb.errors import DatabaseRefused, ImageError

# SQLSTATE classes of refused data: a bad value, a broken constraint, a row or key over a limit.
REFUSED = ("22", "23", "54")


class Divisible(Protocol):
    """A batch of items that can be written one at a time."""

    def items(self) -> Sequence[Self]:
        """Return batches of one item each."""

    def failed(self, error: ImageError) -> Self:
        """Return a batch that records each item as a failure."""


Whole = TypeVar("Whole", bound=Divisible)


def write_each(write: Callable[[Whole], None], whole: Whole) -> list[Whole]:
    """Write a batch; if the database refuses it, write each item alone. Return the refused items.

    `write` writes all of a batch or nothing. A refused item becomes a failure with the reason.
    """
    try:
        write(whole)
        return []
    except (psycopg.Error, UnicodeEncodeError) as exc:
        if not is_refusal(exc):
            raise
    return [item for item in whole.items() if not _write_one(write, item)]


def is_refusal(exc: BaseException) -> bool:
    """Tell whether the database refused the data itself, so that other data can be written."""
    if isinstance(exc, UnicodeEncodeError):
        return True
    if not isinstance(exc, psycopg.Error):
        return False
    # The driver itself refuses NUL in a text, without a SQLSTATE.
    return exc.sqlstate[:2] in REFUSED if exc.sqlstate else isinstance(exc, psycopg.DataError)


def _write_one(write: Callable[[Whole], None], item: Whole) -> bool:
    try:
        write(item)
        return True
    except (psycopg.Error, UnicodeEncodeError) as exc:
        if not is_refusal(exc):
            raise
        error = DatabaseRefused(f"the database refuses it: {_reason(exc)}")
    write(item.failed(error))
    return False


def _reason(exc: psycopg.Error | UnicodeEncodeError) -> str:
    if isinstance(exc, psycopg.Error):
        return exc.diag.message_primary or str(exc)
    return "its text is not UTF-8"
