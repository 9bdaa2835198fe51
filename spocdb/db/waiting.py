"""Wait without keeping a stopped program: for a server, a notification, or some time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

import psycopg

from spocdb.db.connections import Connection
from spocdb.errors import DatabaseLost

Connect = Callable[[], Connection]
Stopped = Callable[[], bool]
Result = TypeVar("Result")

SECONDS_BETWEEN_LOOKS = 0.2
# How long a program that is stopped still waits for a connection.
SECONDS_WHEN_STOPPED = 2.0


@contextmanager
def connect_unless(is_stopped: Stopped, connect: Connect) -> Iterator[Connection]:
    """Open a connection; once stopped, wait only 2 s for a server that does not answer.

    Raises:
        DatabaseLost: stopped while connecting.
    """
    made: list[Connection | BaseException] = []
    done, is_left = Event(), Event()

    def open_it() -> None:
        try:
            made.append(connect())
        except BaseException as exc:
            made.append(exc)
        done.set()
        if is_left.is_set():
            _close(made)

    Thread(target=open_it, name="connect", daemon=True).start()
    while not done.wait(SECONDS_BETWEEN_LOOKS):
        if is_stopped() and not done.wait(SECONDS_WHEN_STOPPED):
            is_left.set()
            if done.is_set():
                _close(made)
            raise DatabaseLost("stopped while connecting")
    connection = made[0]
    if isinstance(connection, BaseException):
        raise connection
    with connection:
        yield connection


def _close(made: list[Connection | BaseException]) -> None:
    for connection in made:
        if isinstance(connection, psycopg.Connection):
            connection.close()


def notification(connection: Connection, seconds: float, is_stopped: Stopped) -> None:
    """Wait for a notification, at most `seconds`; end early when stopped."""
    for part in _parts(seconds, is_stopped):
        if any(connection.notifies(timeout=part, stop_after=1)):
            return


def sleep(seconds: float, is_stopped: Stopped) -> None:
    """Sleep for `seconds`; end early when stopped."""
    for part in _parts(seconds, is_stopped):
        time.sleep(part)


def _parts(seconds: float, is_stopped: Stopped) -> Iterator[float]:
    """Yield short times that add up to `seconds`, until stopped."""
    until = time.monotonic() + seconds
    while not is_stopped() and (left := until - time.monotonic()) > 0:
        yield min(left, SECONDS_BETWEEN_LOOKS)


def in_time(action: Callable[[], Result], seconds: float, is_stopped: Stopped) -> Result:
    """Return what `action` returns.

    It runs in a daemon thread, which keeps running after a timeout.

    Raises:
        TimeoutError: `action` takes longer than `seconds`, or the program is stopped.
    """
    made: list[Result | Exception] = []

    def run() -> None:
        try:
            made.append(action())
        except Exception as exc:
            made.append(exc)

    thread = Thread(target=run, name="ask", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while not made:
        thread.join(SECONDS_BETWEEN_LOOKS)
        if not made and (time.monotonic() > until or is_stopped()):
            raise TimeoutError
    if isinstance(made[0], Exception):
        raise made[0]
    return made[0]
