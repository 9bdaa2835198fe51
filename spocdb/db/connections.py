"""Open connections, and turn the driver's errors into spocdb's own."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from spocdb.db import sessions, statements, vectors
from spocdb.db.addresses import conninfo
from spocdb.errors import (
    CollectionNotFound,
    ConfigError,
    DatabaseError,
    DatabaseLost,
    DuplicatesNotFound,
    ImageNotFound,
    ProjectionNotFound,
    RightMissing,
    SpocdbError,
)

Connection = psycopg.Connection[TupleRow]

log = logging.getLogger(__name__)

# Errors that spocdb's SQL functions raise, by SQLSTATE.
RAISED: dict[str, type[SpocdbError]] = {
    "42501": RightMissing,
    "42704": CollectionNotFound,
    "P0002": ImageNotFound,
    "SPD01": DuplicatesNotFound,
    "42P02": ProjectionNotFound,
    "42602": ConfigError,
    # invalid_regular_expression, which PostgreSQL raises for a filter.
    "2201B": ConfigError,
    "42939": ConfigError,
}

# Advice for the driver's errors, by SQLSTATE, put behind the server's own message.
ADVICE = {
    "25006": "spocdb may only read here: name a server and a role that may write "
    "(default_transaction_read_only is off, the server is no standby)",
    "42501": "a reader may read and search, a worker (`db.grant_worker(...)`) also embed rows; "
    "everything else takes the rights of the owner of spocdb",
    "53100": "make room on the server's disk, then run the same command again",
    "57014": "if a statement_timeout of PGOPTIONS or of the URL's options ended it, raise it there",
    "22P05": "the database must be encoded in UTF8",
}

TIMED_OUT = (
    "the server ended the statement after the statement_timeout of PGOPTIONS or of the URL's "
    "options: raise it there"
)

# The server ended the session: it shut down, or a timeout of the session ran out.
ENDED = ("57P", "25P03", "25P04")

# Timeouts for a broken network, unless the address sets others: 10 s to connect, about a minute of
# silence of an idle connection, 30 s until sent data is acknowledged.
PATIENCE: dict[str, Any] = {
    "application_name": "spocdb",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(url: str, statement_seconds: float | None = None) -> Connection:
    """Open an autocommitting connection to `url`, anything libpq takes.

    With `statement_seconds` the server ends each statement that runs longer.

    Raises:
        ConfigError: the address is malformed.
        DatabaseLost: the server cannot be reached.
        DatabaseError: the session's settings cannot be set.
    """
    try:
        given = conninfo_to_dict(conninfo(url))
        connection = psycopg.connect(
            make_conninfo(**{**PATIENCE, **given, "client_encoding": "utf8"}),
            autocommit=True,
            cursor_factory=statements.cursor_factory(),
        )
    except psycopg.Error as exc:
        raise DatabaseLost(
            f"cannot reach the database: {_one_line(exc)}: check `url=...` or SPOCDB_DATABASE_URL"
        ) from exc
    try:
        with wrapped():
            for name, oids in sessions.configure(connection, statement_seconds).items():
                vectors.register(connection, name, *oids)
    except BaseException:
        connection.close()
        raise
    info = connection.info
    log.debug("connected to %s on %s as %s", info.dbname, info.host or "a socket", info.user)
    return connection


def cancel(connection: Connection) -> None:
    """Ask the server to end the statement that another thread runs on a connection."""
    # If the request fails, only closing the connection is left.
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=1.0)


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Open a connection for the block; turn the driver's errors into spocdb's own."""
    with wrapped(), connect(url) as connection:
        yield connection


@contextmanager
def wrapped() -> Iterator[None]:
    """Turn the driver's errors into spocdb's own, with a message of one line."""
    try:
        yield
    except psycopg.Error as exc:
        kind = RAISED.get(exc.sqlstate or "", DatabaseError)
        # Without a SQLSTATE the connection broke.
        if isinstance(exc, psycopg.OperationalError | psycopg.InternalError) and (
            exc.sqlstate or "57P"
        ).startswith(ENDED):
            message = f"lost the database, run the same command again: {_one_line(exc)}"
            raise DatabaseLost(message) from exc
        if isinstance(exc, psycopg.errors.LockNotAvailable):
            message = "the table is being used by others: run the same command again"
            raise DatabaseError(message) from exc
        if isinstance(exc, psycopg.DataError) and exc.sqlstate is None and "NUL" in str(exc):
            raise ConfigError("a text has a NUL character, which PostgreSQL cannot store") from exc
        if _is_timed_out(exc):
            raise DatabaseError(TIMED_OUT) from exc
        raise kind(_one_line(exc)) from exc
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{exc.object!r} is not UTF-8, as a name or a value must be") from exc
    except UnicodeDecodeError as exc:
        raise DatabaseError(
            "the database holds text that is not UTF-8: it must be encoded in UTF8"
        ) from exc


def _is_timed_out(exc: psycopg.Error) -> bool:
    """Tell a statement_timeout from a cancelled statement: both have the SQLSTATE 57014.

    Only the server's message differs. A message in another language is kept, with `ADVICE`.
    """
    is_ended = isinstance(exc, psycopg.errors.QueryCanceled)
    return is_ended and "statement timeout" in (exc.diag.message_primary or "")


def one_row(connection: Connection, statement: Any, parameters: Any = None) -> TupleRow:
    """Run a statement that returns exactly one row."""
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None, "the statement returns one row"
    return row


def _one_line(exc: psycopg.Error) -> str:
    advice = exc.diag.message_hint
    if isinstance(exc, psycopg.errors.DependentObjectsStillExist):
        # PostgreSQL advises CASCADE, which spocdb does not offer.
        advice = f"{exc.diag.message_detail}: drop what depends on it first"
    parts = [exc.diag.message_primary or str(exc), advice or ADVICE.get(exc.sqlstate or "")]
    return ": ".join(re.sub(r"\s*\n\s*", ", ", part.strip()) for part in parts if part)
