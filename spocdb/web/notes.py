"""What the library logs while it works for one client, such as that no image has a filter's key.

A client must see it, or an empty answer would explain nothing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# What listens to this thread's records, and from which level on.
_listener: ContextVar[tuple[Callable[[str], None], int] | None] = ContextVar(
    "listener", default=None
)


class _Forwarding(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if (found := _listener.get()) and record.levelno >= found[1]:
            found[0](record.getMessage())


# One for the process: each request's thread has a context of its own.
_forwarding = _Forwarding()


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the warnings that the library logs in this block and thread."""
    notes: list[str] = []
    with told(notes.append, logging.WARNING):
        yield notes


@contextmanager
def told(listen: Callable[[str], None], level: int = logging.INFO) -> Iterator[None]:
    """Hand on what the library logs in this block and thread; by default its progress, too."""
    logging.getLogger("spocdb").addHandler(_forwarding)
    token = _listener.set((listen, level))
    try:
        yield
    finally:
        _listener.reset(token)
