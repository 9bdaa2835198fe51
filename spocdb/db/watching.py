"""Watch waiting connections: log who holds a lock, and cut a connection to a silent server.

A statement has no timeout. But a link that breaks silently (a proxy that stops forwarding, a
machine that lost its power) keeps its client waiting for ever, because the operating system reports
no error. So a second connection asks the server about the first one.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Any, Self

import psycopg
from psycopg.pq import TransactionStatus

from spocdb.db.connections import Connection, one_row, wrapped
from spocdb.db.waiting import Connect, Stopped, connect_unless, in_time
from spocdb.errors import SpocdbError

log = logging.getLogger(__name__)

# How often a connection is checked, and how long a statement lasts before the server is asked.
SECONDS_BETWEEN_LOOKS, SECONDS_UNTIL_ASKED = 0.2, 2.0
# Timeout of a question, and how many timeouts in a row mean a dead server. About a minute in all,
# so that a busy machine does not lose a long statement.
SECONDS_TO_ANSWER, MOST_SILENCES = 12.0, 5
# Once stopped: how long a statement may wait until it is cancelled, and until its socket is shut.
SECONDS_UNTIL_CANCELLED, SECONDS_UNTIL_CUT = 1.5, 2.5
# Queries per question: a worker waits for a lock 200 ms at a time, and one query may miss that.
QUESTIONS = 5

ASK = """
SELECT a.state, a.state_change, b.pid, b.application_name, b.state, b.xact_start
FROM pg_stat_activity a
LEFT JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS h (pid) ON true
LEFT JOIN pg_stat_activity b ON b.pid = h.pid
WHERE a.pid = %s
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's state of a connection, since when, and who holds the lock it waits for."""

    state: str | None
    since: datetime | None
    holder: str | None


@dataclass(slots=True)
class _Watched:
    """A connection, since when it is busy, and since when it waits for an answer.

    `is_direct` tells that there is no pooler, so that `pid` is the server's process.
    """

    connection: Connection
    pid: int
    is_direct: bool = False
    busy_since: float | None = None
    waits_since: float | None = None
    # Checks in a row that found it idle; between two tries of a lock it is idle for a moment.
    n_idle: int = 0
    asked_at: float = 0.0
    n_silent: int = 0
    answer: Answer | None = None
    is_cancelled: bool = False

    def look(self, now: float) -> None:
        """Record whether the connection is busy now."""
        status = self.connection.pgconn.transaction_status
        if status != TransactionStatus.ACTIVE:
            self.waits_since, self.answer, self.n_silent = None, None, 0
            self.is_cancelled = False
        elif self.waits_since is None:
            self.waits_since = now
        is_idle = status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)
        self.n_idle = self.n_idle + 1 if is_idle else 0
        if self.n_idle > 1:
            self.busy_since = None
        elif self.busy_since is None:
            self.busy_since = now


@dataclass(slots=True)
class Watch:
    """A thread that watches connections for the block.

    `connect` opens connections for questions. Once `is_stopped`, statements end within seconds.
    """

    connect: Connect
    is_stopped: Stopped = lambda: False
    _watched: list[_Watched] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _is_over: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        thread = Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        # A thread that still runs when the interpreter ends may crash the process.
        self._threads.pop().join()

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """Open a connection that is watched.

        Raises:
            DatabaseLost: stopped while connecting.
        """
        with connect_unless(self.is_stopped, self.connect) as connection:
            self.add(connection)
            yield connection

    def add(self, connection: Connection) -> None:
        """Watch a connection until it is closed; it must not be in a transaction now."""
        watched = _Watched(connection, connection.info.backend_pid)
        with self._lock:
            if any(other.connection is connection for other in self._watched):
                return
            self._watched.append(watched)
        (watched.pid,) = one_row(connection, "SELECT pg_backend_pid()")
        watched.is_direct = watched.pid == connection.info.backend_pid

    def _run(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN_LOOKS):
            with self._lock:
                self._watched = [w for w in self._watched if not w.connection.closed]
                now_watched = list(self._watched)
            for watched in now_watched:
                self._look(watched)

    def _look(self, watched: _Watched) -> None:
        now = time.monotonic()
        watched.look(now)
        waits = now - (watched.waits_since or now)
        if self.is_stopped():
            if waits > SECONDS_UNTIL_CANCELLED:
                self._end(watched, waits)
        elif (
            now - (watched.busy_since or now) > SECONDS_UNTIL_ASKED
            and now - watched.asked_at > SECONDS_UNTIL_ASKED
        ):
            watched.asked_at = now
            self._ask(watched)

    def _end(self, watched: _Watched, waits: float) -> None:
        """Cancel the statement of a stopped program; if it goes on, shut its socket."""
        if watched.is_cancelled and waits > SECONDS_UNTIL_CUT:
            cut(watched.connection)
        elif not watched.is_cancelled:
            watched.is_cancelled = True
            with suppress(psycopg.Error, TimeoutError):
                watched.connection.cancel_safe(timeout=SECONDS_UNTIL_CUT - SECONDS_UNTIL_CANCELLED)

    def _ask(self, watched: _Watched) -> None:
        """Ask the server about a connection; log who holds its lock, cut it if it is dead."""
        before, pid = watched.answer, watched.pid
        try:
            answers = in_time(lambda: ask(self.connect, pid), SECONDS_TO_ANSWER, self._is_ending)
        except TimeoutError:
            watched.n_silent += 1
        except (SpocdbError, psycopg.Error) as exc:
            # Any other error is an answer, such as too many connections.
            is_silent = isinstance(exc.__cause__, psycopg.errors.ConnectionTimeout)
            watched.n_silent = watched.n_silent + 1 if is_silent else 0
        else:
            watched.n_silent, watched.answer = 0, answers[-1] if answers else None
            if watched.is_direct and _is_dead(before, watched.answer):
                watched.n_silent = MOST_SILENCES
            self._tell({answer.holder for answer in answers if answer.holder})
        watched.look(time.monotonic())
        if watched.waits_since and watched.n_silent >= MOST_SILENCES:
            log.warning("the database does not answer: leaving the connection")
            cut(watched.connection)

    def _is_ending(self) -> bool:
        return self._is_over.is_set() or self.is_stopped()

    def _tell(self, holders: set[str]) -> None:
        for holder in holders - self._said:
            self._said.add(holder)
            log.warning("waiting for a lock that %s holds", holder)


def ask(connect: Connect, pid: int) -> list[Answer]:
    """Return a server process's states, queried until it waits for a lock; [] if it is gone."""
    answers: list[Answer] = []
    with wrapped(), connect() as connection:
        for _ in range(QUESTIONS):
            rows = connection.execute(ASK, [pid]).fetchall()
            if not rows:
                return []
            state, since = rows[0][:2]
            answers.append(Answer(state, since, _holder(*rows[0][2:])))
            if answers[-1].holder:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS / 2)
    return answers


def cut(connection: Connection) -> None:
    """Shut a connection's socket: the thread that waits for it gets an error at once."""
    with suppress(OSError, psycopg.Error):
        if not connection.closed:
            with socket.socket(fileno=os.dup(connection.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)


def _holder(pid: int | None, name: str | None, state: str | None, since: Any) -> str | None:
    if pid is None:
        return None
    parts = [part for part in (name, state) if part]
    if since is not None:
        parts.append(f"since {since:%H:%M:%S}")
    return f"process {pid}" + (f" ({', '.join(parts)})" if parts else "")


def _is_dead(before: Answer | None, now: Answer | None) -> bool:
    """Tell whether the server has finished with a client that still waits.

    Its process is gone, or has been idle since before the previous question.
    """
    if now is None:
        return True
    is_idle = now.state is not None and now.state.startswith("idle")
    return is_idle and before is not None and before.since == now.since
