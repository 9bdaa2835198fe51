"""The connection pool of a process: opened on demand, checked before use, reset after errors.

psycopg_pool opens connections in its own threads, and lets a client wait while it retries. Here
the first failed attempt ends the client's wait.
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
from spocdb.db.connections import Connection, connect, wrapped
from spocdb.errors import ConfigError, DatabaseBusy, DatabaseError

# How often a waiting client checks whether connecting failed. A refused connection is reported
# after that time at the latest.
SECONDS_BETWEEN_LOOKS = 0.02
# Timeout of a client while all connections are in use.
SECONDS_UNTIL_BUSY = 30.0
# How long `close` waits for threads that are still connecting, e.g. to a server that is silent.
SECONDS_TO_CLOSE = 2.0

# The pool's warnings are raised too. Without a handler Python would print them on stderr.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class Pool:
    """At most `size` connections to `url`; one thread at a time uses each.

    With `statement_seconds` the server ends each statement that runs longer.
    """

    def __init__(self, url: str, size: int, statement_seconds: float | None = None) -> None:
        conninfo(url)  # refuses a malformed address here, not in a thread of the pool
        self._url, self._size, self._statement_seconds = url, size, statement_seconds
        self._lock = Lock()
        self._n_used = self._n_failures = 0
        self._failure: DatabaseError | None = None
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            connection_class=_Opened,
            kwargs={"open": self._open},
            min_size=0,
            max_size=size,
            check=self._check,
            # No retry: a failed attempt is reported to waiting clients; the next client retries.
            reconnect_timeout=0,
            open=True,
        )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Take a connection for the block; turn the driver's errors into spocdb's own.

        After an error the session's settings, locks and temporary tables are reset.

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
                sessions.restore(connection, self._statement_seconds)
                raise
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close all connections; those in use are closed when they are returned."""
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
            return connect(self._url, self._statement_seconds)
        except DatabaseError as exc:
            with self._lock:
                self._failure, self._n_failures = exc, self._n_failures + 1
            raise

    def _raise_failure(self, n_before: int) -> None:
        """Raise the last failure to connect if there have been more than `n_before`."""
        with self._lock:
            failure = self._failure if self._n_failures > n_before else None
        if failure is not None:
            # A new error for each thread, because raising an error adds to its traceback.
            raise type(failure)(str(failure)) from failure.__cause__

    def _check(self, connection: Connection) -> None:
        """Raise psycopg.Error for an idle connection that the server has closed.

        Closing makes the socket readable. If it is not, the connection needs no round trip.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.Error:
            # The other connections broke too. One by one, each replacement would wait longer.
            self._pool.check()
            raise


class _Opened(psycopg.Connection[TupleRow]):
    """Lets psycopg_pool open connections with the function given as `open`."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Any:
        return options["open"]()
