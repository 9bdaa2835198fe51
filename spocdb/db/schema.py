"""The schema `spocdb` as a whole: is it there, is it current, bring it up to date."""

import io
from importlib.resources import files
from typing import Any

import psycopg

from spocdb.db import ownership, server
from spocdb.db.engine import Connection, connect, one_row, wrapped
from spocdb.errors import ConfigError, DatabaseError, SchemaOutOfDate

# The newest migration. Kept here so that a command need not load Alembic to compare; a test holds
# it against migrations/versions.
HEAD = "0007"


def current(connection: Connection) -> str | None:
    """Return the revision the database is at; None if it has no schema spocdb.

    Raises DatabaseError for a role that may only search in SQL.
    """
    if one_row(connection, "SELECT to_regclass('spocdb.alembic_version') IS NULL")[0]:
        return None
    try:
        row = connection.execute("SELECT version_num FROM spocdb.alembic_version").fetchone()
    except psycopg.errors.InsufficientPrivilege as exc:
        raise DatabaseError(
            f"the role {connection.info.user} may run no command: a reader searches in SQL "
            "(spocdb.search, the collection's view); commands need the rights of "
            "`spocdb db grant --worker` or of the owner of spocdb"
        ) from exc
    return str(row[0]) if row else None


def is_older(connection: Connection) -> bool:
    """Tell whether the schema is missing, or older than this program's."""
    return (current(connection) or "") < HEAD


def check(connection: Connection) -> None:
    """Raise SchemaOutOfDate, naming the command to run, unless the schema is the newest."""
    found = current(connection)
    if found is None:
        raise SchemaOutOfDate("this database has no schema spocdb yet: run `spocdb db init` on it")
    if found < HEAD:
        raise SchemaOutOfDate(
            f"the schema spocdb is at {found}, this program needs {HEAD}: run `spocdb db upgrade`"
        )
    if found > HEAD:
        raise SchemaOutOfDate(
            f"the schema spocdb is at {found}, newer than this program ({HEAD}): upgrade spocdb"
        )


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database to `revision`, in one transaction. Raises DatabaseError."""
    _alembic(url, "upgrade", revision)


def downgrade(url: str, revision: str) -> None:
    """Migrate back to `revision` ("base": nothing left but the empty schema)."""
    _alembic(url, "downgrade", revision)


def upgrade_sql(revision: str = "base") -> str:
    """Return the SQL of the migrations after `revision`, for a DBA to read and run.

    Raises ConfigError for a revision that there is not.
    """
    from alembic import command
    from alembic.util import CommandError

    out = io.StringIO()
    try:
        command.upgrade(_config(output_buffer=out), f"{revision}:head", sql=True)
    except CommandError as exc:
        raise ConfigError(f"no revision {revision!r}: see `spocdb db current`") from exc
    return out.getvalue()


def _alembic(url: str, verb: str, revision: str) -> None:
    from alembic import command
    from alembic.util import CommandError
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    with connect(url) as connection:
        server.refuse_old(connection)
    engine = create_engine("postgresql+psycopg://", creator=lambda: _open(url), poolclass=NullPool)
    try:
        with engine.connect() as alchemy:
            config = _config()
            config.attributes["connection"] = alchemy
            getattr(command, verb)(config, revision)
        # An upgrade run by a superuser must leave no function that runs with a superuser's rights.
        with wrapped(), connect(url) as connection:
            ownership.keep_owner(connection)
    except DBAPIError as exc:
        raise _explain(exc.orig) from exc
    except CommandError as exc:
        raise SchemaOutOfDate(
            f"the schema spocdb is at a revision that this program does not know ({exc}): "
            "upgrade spocdb"
        ) from exc


def _open(url: str) -> Connection:
    connection = connect(url)
    connection.autocommit = False  # all migrations, or none
    return connection


def _explain(exc: BaseException | None) -> DatabaseError:
    if isinstance(exc, psycopg.errors.InsufficientPrivilege) and "extension" in str(exc):
        return DatabaseError(
            "this role may not create the extension vector: "
            "ask a superuser to run `CREATE EXTENSION vector` in this database, then try again"
        )
    return DatabaseError(f"the migration failed: {str(exc).strip().splitlines()[0]}")


def _config(**options: Any) -> Any:
    from alembic.config import Config

    config = Config(**options)
    config.set_main_option("script_location", str(files("spocdb.migrations")))
    return config
