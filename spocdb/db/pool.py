"""The pool: a process's connections, opened on demand, checked before use, clean after it.

psycopg_pool opens connections in threads of its own, and lets a client wait while it tries again.
Here the first failure of an attempt that was made for a client ends its wait.
"""

import logging
import select
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from spocdb.db import sessions
from spocdb.db.addresses import conninfo
from spocdb.db.engine import Connection, connect, wrapped
from spocdb.errors import ConfigError, DatabaseBusy, DatabaseError

# A client that waits for a connection looks whether it could be opened.
SECONDS_BETWEEN_LOOKS = 0.1
# How long a client waits while all connections are used by others.
SECONDS_UNTIL_BUSY = 30.0
# How long `close` waits for threads that are still connecting, e.g. to a server that is silent.
SECONDS_TO_CLOSE = 2.0

# What it warns of is raised too. Without a handler Python would print it on stderr.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class Pool:
    """At most `size` connections to `url`, handed to one thread at a time each."""

    def __init__(self, url: str, size: int) -> None:
        conninfo(url)  # what cannot be an address is refused here, not by a thread of the pool
        self._url, self._size = url, size
        self._lock = Lock()
        self._n_used = self._n_failures = 0
        self._failure: DatabaseError | None = None
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            connection_class=_Opened,
            kwargs={"open": self._open},
            min_size=0,
            max_size=size,
            check=self._check,
            # Each attempt that fails is reported to those who wait: the next client tries again.
            reconnect_timeout=0,
            open=True,
        )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Take a connection for the block; errors of the driver leave it as spocdb's own.

        After an error settings, locks and temporary tables of the session are reset.

        Raises:
            DatabaseLost: the connection could not be opened, or broke.
            DatabaseBusy: all connections were in use for 30 s.
            ConfigError: the pool is closed.
        """
        with wrapped():
            connection = self._take()
            try:
                yield connection
            except BaseException:
                sessions.restore(connection)
                raise
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close all connections; those in use are closed when they come back."""
        self._pool.close(SECONDS_TO_CLOSE)

    def _take(self) -> Connection:
        n_failures, until = self._n_failures, monotonic() + SECONDS_UNTIL_BUSY
        while True:
            try:
                connection = self._pool.getconn(SECONDS_BETWEEN_LOOKS)
                break
            except PoolTimeout:
                self._raise_failure(n_failures)
                if self._n_used >= self._size and monotonic() > until:
                    raise DatabaseBusy(
                        f"all {self._size} connections of this engine are in use: "
                        "use fewer threads, or a larger pool_size"
                    ) from None
            except PoolClosed:
                raise ConfigError("this database was closed: open it again") from None
        with self._lock:
            self._n_used += 1
        return connection

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            self._n_used -= 1
        self._pool.putconn(connection)

    def _open(self) -> Connection:
        try:
            return connect(self._url)
        except DatabaseError as exc:
            with self._lock:
                self._failure, self._n_failures = exc, self._n_failures + 1
            raise

    def _raise_failure(self, n_before: int) -> None:
        """Raise the last failure to connect if there was one since there were `n_before`."""
        with self._lock:
            failure = self._failure if self._n_failures > n_before else None
        if failure is not None:
            # An error of its own for each thread: raising one adds to its traceback.
            raise type(failure)(str(failure)) from failure.__cause__

    def _check(self, connection: Connection) -> None:
        """Raise psycopg.Error for a connection that the server closed while nobody used it.

        A server that goes says so, which makes the socket readable: else no round trip is needed.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.Error:
            # The others went with it: replaced one by one, each would cost a longer pause.
            self._pool.check()
            raise


class _Opened(psycopg.Connection[TupleRow]):
    """Lets psycopg_pool open connections by the function given as `open`."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Any:
        return options["open"]()
