"""What the library logs while it answers a request, such as that no image has a filter's key.

A client must see it, or an empty answer would explain nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


class _Collector(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        notes = _notes.get()
        if notes is not None:
            notes.append(record.getMessage())


# One for the process: each request's thread has a context of its own.
_collector = _Collector(logging.WARNING)


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the warnings that the library logs in this block and thread."""
    logging.getLogger("spocdb").addHandler(_collector)
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
