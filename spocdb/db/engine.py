"""Connections: how one is opened, and how the driver's errors become spocdb's own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from spocdb.errors import (
    CollectionNotFound,
    ConfigError,
    DatabaseError,
    DatabaseLost,
    ImageNotFound,
    SpocdbError,
)
from spocdb.records import Float32Array

Connection = psycopg.Connection[TupleRow]

# What spocdb's SQL functions raise on purpose, by SQLSTATE; their message says it all.
RAISED: dict[str, type[SpocdbError]] = {
    "42704": CollectionNotFound,
    "P0002": ImageNotFound,
    "42602": ConfigError,
    # PostgreSQL's own word for a regular expression of a filter.
    "2201B": ConfigError,
    "42939": ConfigError,
}

# How soon a broken network is noticed, unless the address says otherwise: a server that is not
# there within 10 s, one that is silent for a minute while idle, or confirms nothing for 30 s.
PATIENCE: dict[str, Any] = {
    "application_name": "spocdb",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# The extension is found wherever it is installed, whatever the role's own search_path is.
FIND_VECTOR = """
SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''),
                                           quote_ident(n.nspname)), false)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


def connect(url: str) -> Connection:
    """Open an autocommitting connection to `url`, anything libpq takes. Raises DatabaseError."""
    try:
        given = conninfo_to_dict(_libpq_url(url))
        connection = psycopg.connect(make_conninfo(**{**PATIENCE, **given}), autocommit=True)
    except psycopg.Error as exc:
        raise DatabaseLost(
            f"cannot reach the database: {_one_line(exc)}: check --db or SPOCDB_DATABASE_URL"
        ) from exc
    try:
        with wrapped():
            if connection.execute(FIND_VECTOR).fetchone():
                register_vector(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def wrapped() -> Iterator[None]:
    """Turn the driver's errors into DatabaseError with one line. The edge of everything in db."""
    try:
        yield
    except psycopg.Error as exc:
        kind = RAISED.get(exc.sqlstate or "", DatabaseError)
        # The connection broke, or the server says that it is shutting down (class 57P).
        lost = isinstance(exc, psycopg.OperationalError) and (exc.sqlstate or "57P")[:3] == "57P"
        if lost:
            message = f"lost the database, run the same command again: {_one_line(exc)}"
            raise DatabaseLost(message) from exc
        if isinstance(exc, psycopg.errors.LockNotAvailable):
            message = "the table is being used by others: run the same command again"
            raise DatabaseError(message) from exc
        raise kind(_one_line(exc)) from exc
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{exc.object!r} is not UTF-8, as a name or a value must be") from exc


def one_row(connection: Connection, statement: Any, parameters: Any = None) -> TupleRow:
    """Run a statement that returns exactly one row."""
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None, "the statement returns one row"
    return row


def floats(value: Any) -> Float32Array:
    """Return a vector (N,) as it comes from the driver as an array."""
    # pgvector's psycopg adapter gives a Vector since 0.5 and an array before.
    return np.asarray(value.to_numpy() if isinstance(value, Vector) else value, np.float32)


def _libpq_url(url: str) -> str:
    """Accept SQLAlchemy's spelling of a driver too."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.split('+')[0]}{separator}{rest}" if separator else url


def _one_line(exc: psycopg.Error) -> str:
    advice = exc.diag.message_hint
    if isinstance(exc, psycopg.errors.DependentObjectsStillExist):
        # PostgreSQL advises CASCADE, which spocdb does not offer.
        advice = f"{exc.diag.message_detail}: drop what depends on it first"
    parts = [exc.diag.message_primary or str(exc), advice]
    return ": ".join(re.sub(r"\s*\n\s*", ", ", part.strip()) for part in parts if part)
