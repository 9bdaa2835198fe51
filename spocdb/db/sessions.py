"""A connection's settings: those that spocdb relies on, and those raised for one step only.

A role, a database, the server and PGOPTIONS may change any setting. Those that decide how values
are written and read, and how transactions are isolated, are therefore set on every connection, in
one round trip, and a second one where a role or a server limits times. Planner settings and
`default_transaction_read_only` stay as the user set them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

RELIED_ON = {
    # How psycopg parses dates, intervals and bytes, and how floats keep all their digits.
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # How literals, arrays and names are read and quoted.
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    # Statements after a lock must see what others committed before it.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "row_security": "on",
}

# Timeouts that a role or a server sets against forgotten sessions are turned off, because an index
# build or an ingest takes long. A timeout in PGOPTIONS or in the URL's options is kept.
TIMEOUTS = (
    "statement_timeout",
    "lock_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
)

SETTINGS = "".join(f"SET {name} = '{value}';" for name, value in RELIED_ON.items())

# Adds the extension's schema to the end of the search_path. The role's own schemas come first, so
# that an unqualified name of an application's table resolves as it does for the role. System
# schemas keep their implicit place in front of all others. Returns the values of TIMEOUTS, and the
# oids of the extension's types and of their arrays.
# Every connection runs this first, so it uses few catalogues and functions, which a new session has
# not cached: that takes most of its time.
CONFIGURE = r"""
SELECT
    pg_catalog.set_config('search_path', pg_catalog.array_to_string(
        CASE WHEN e.schema = ANY (s.own || 'pg_catalog'::text) THEN s.own
             ELSE s.own || e.schema END, ', '), false),
    ARRAY[
        pg_catalog.current_setting('statement_timeout'),
        pg_catalog.current_setting('lock_timeout'),
        pg_catalog.current_setting('transaction_timeout', true),
        pg_catalog.current_setting('idle_in_transaction_session_timeout'),
        pg_catalog.current_setting('idle_session_timeout')],
    (SELECT pg_catalog.jsonb_object_agg(t.typname, ARRAY[t.oid::bigint, t.typarray::bigint])
     FROM pg_catalog.pg_type t
     WHERE t.typnamespace = e.oid AND t.typname IN ('vector', 'halfvec'))
FROM (
    SELECT ARRAY(
        SELECT pg_catalog.quote_ident(u.schema)
        FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) AS u (schema)
        WHERE u.schema !~ '^pg_(catalog$|temp)') AS own) s
LEFT JOIN (
    SELECT x.extnamespace AS oid, x.extnamespace::pg_catalog.regnamespace::text AS schema
    FROM pg_catalog.pg_extension x WHERE x.extname = 'vector') e ON true
"""

# Only a client's timeouts are kept. This reads pg_settings, which takes as long as all the above.
LIFT = """
SELECT pg_catalog.set_config(s.name, '0', false) FROM pg_catalog.pg_settings s
WHERE s.name = ANY (%s) AND s.source <> 'client'
"""

# {name of a type: its oid, and that of its array}
Types = dict[str, tuple[int, int]]

RESET = """
RESET ALL;
DISCARD TEMP;
UNLISTEN *;
SELECT pg_catalog.pg_advisory_unlock_all()
"""


def configure(
    connection: psycopg.Connection[TupleRow], statement_seconds: float | None = None
) -> Types:
    """Apply the settings that spocdb relies on; return the extension's types, {} without it.

    `statement_seconds` is a timeout that spocdb itself sets, whatever PGOPTIONS says. It is no
    startup option, because pgbouncer refuses those.
    """
    limited, statements = {*TIMEOUTS}, SETTINGS + CONFIGURE
    if statement_seconds is not None:
        limited.remove("statement_timeout")
        statements = f"SET statement_timeout = {round(1000 * statement_seconds)};" + statements
    cursor = connection.execute(statements)
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    assert row is not None, "a row of one subquery, joined to the left"
    _, timeouts, types = row
    if set_ := limited & {
        name for name, now in zip(TIMEOUTS, timeouts, strict=True) if now not in (None, "0")
    }:
        connection.execute(LIFT, [[*set_]])
    return types or {}


def restore(
    connection: psycopg.Connection[TupleRow], statement_seconds: float | None = None
) -> None:
    """Reset a connection after a failed step; close it if that fails.

    Resets settings, advisory locks, LISTEN and temporary tables.
    """
    try:
        connection.rollback()
        connection.execute(RESET)
        configure(connection, statement_seconds)
    except psycopg.Error:
        connection.close()
    except BaseException:
        connection.close()
        raise


@contextmanager
def raised(connection: psycopg.Connection[TupleRow], **values: str) -> Iterator[None]:
    """Change settings for the block, and restore them after it, also after an error.

    For statements that cannot run in a transaction; inside one, SET LOCAL does the same.
    """
    before = {name: _setting(connection, name) for name in values}
    try:
        for name, value in values.items():
            _set(connection, name, value)
        yield
    finally:
        # A failed transaction rolls its settings back itself, and a lost connection has none.
        usable = (TransactionStatus.IDLE, TransactionStatus.INTRANS)
        if not connection.closed and connection.info.transaction_status in usable:
            for name, value in before.items():
                _set(connection, name, value)


def _setting(connection: psycopg.Connection[TupleRow], name: str) -> str:
    # A setting of spocdb itself is unknown until it is set, and then empty for its default.
    statement = "SELECT coalesce(pg_catalog.current_setting(%s, true), '')"
    row = connection.execute(statement, [name]).fetchone()
    assert row is not None, "SELECT without FROM returns one row"
    return str(row[0])


def _set(connection: psycopg.Connection[TupleRow], name: str, value: str) -> None:
    connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
