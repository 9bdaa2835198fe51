"""Connections that are kept from one request for a host to the next."""

import weakref
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

import httpcore
import httpx

from spocdb.errors import ImageVanished
from spocdb.sources.lines import CLOSE, Headers, Line, More

T = TypeVar("T")
Take = Callable[[httpcore.Response, Headers], T]

# What a connection that was closed meanwhile fails with. Not a timeout.
BROKEN = (httpcore.NetworkError, httpcore.ProtocolError)
# Lines that are kept while nobody asks.
MOST_IDLE = 8


class KeptLines:
    """Asks for URLs, under the conditions of `Line`. Threads may share it.

    A request has a line for itself, the last one that was used for its host. So a connection that
    was kept is to an address that was checked when it was opened.
    """

    def __init__(self, advice: str | None) -> None:
        self._advice, self._lock = advice, Lock()
        # The one that was used last is the last one.
        self._idle: list[tuple[str, Line]] = []
        weakref.finalize(self, _close, self._idle)

    def ask(self, target: httpx.URL, more: More, seconds: float, take: Take[T]) -> T:
        """Return what `take` reads from the answer of a URL, within `seconds`.

        If a connection that was kept is closed by now, it asks once more, by new ones only.

        Raises:
            ImageError: As `Line.answer`, or what `take` raises.
        """
        line = self._kept(target.host) or Line(self._advice)
        try:
            taken = _taken(line, target, more, seconds, take)
        except ImageVanished as error:
            line.close()
            if not (isinstance(error.__cause__, BROKEN) and line.has_reused):
                raise
        except BaseException:
            line.close()
            raise
        else:
            self._keep(target.host, line)
            return taken
        line = Line(self._advice)
        try:
            return _taken(line, target, (*more, CLOSE), seconds, take)
        finally:
            line.close()

    def _kept(self, host: str) -> Line | None:
        with self._lock:
            for n in range(len(self._idle) - 1, -1, -1):
                if self._idle[n][0] == host:
                    return self._idle.pop(n)[1]
        return None

    def _keep(self, host: str, line: Line) -> None:
        with self._lock:
            self._idle.append((host, line))
            first = self._idle.pop(0)[1] if len(self._idle) > MOST_IDLE else None
        if first:
            first.close()


def _taken(line: Line, target: httpx.URL, more: More, seconds: float, take: Take[T]) -> T:
    with line.answer(target, more, seconds) as answer:
        return take(*answer)


def _close(idle: list[tuple[str, Line]]) -> None:
    while idle:
        idle.pop()[1].close()
