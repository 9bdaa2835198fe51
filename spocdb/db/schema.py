"""The schema `spocdb` as a whole: check its version, create it, upgrade and downgrade it."""

import io
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg

from spocdb.db import ownership, server, sql_files
from spocdb.db.connections import Connection, connect, one_row, opened
from spocdb.errors import ConfigError, DatabaseError, SchemaOutOfDate

# The revisions in order; a release has its version number. Kept here so that commands need not load
# Alembic; a test compares them with migrations/versions.
REVISIONS = (
    "0.1.0",
    "0002_versions",
    "0003_thumbnails",
    "0004_search",
    "0005_readers",
    "0006_queries",
    "0007_maps",
    "0008_newest",
    "0009_learned",
    "0010_duplicates",
    "0011_take_over",
    "0012_levels",
    "0013_pairs",
    "0014_review",
    "0015_enqueued",
    "0016_recalls",
    "0017_kinds",
    "0018_partitions",
    "0019_archives",
)
HEAD = REVISIONS[-1]

# Revisions of checkouts before the first release.
UNRELEASED = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")

STATE = """
SELECT version_num, obj_description('spocdb.alembic_version'::regclass, 'pg_class')
FROM spocdb.alembic_version
"""


class State(NamedTuple):
    """The state of a database: the revision of its tables, the fingerprint of its functions."""

    revision: str
    functions: str | None


def current(connection: Connection) -> str | None:
    """Return the revision the database is at; None if it has no schema spocdb.

    Raises:
        DatabaseError: the role may not read the schema.
    """
    state = _state(connection)
    return state and state.revision


def is_current(connection: Connection) -> bool:
    """Tell whether the database's tables and functions are this program's."""
    return _state(connection) == State(HEAD, sql_files.fingerprint())


def is_upgradable(connection: Connection) -> bool:
    """Tell whether the schema is missing or old, and `upgrade` can change that."""
    return not is_current(connection) and current(connection) in (None, *REVISIONS)


def check(connection: Connection) -> None:
    """Refuse a database whose tables or functions are not this program's.

    Raises:
        SchemaOutOfDate: they are not; the message names the command to run.
    """
    state = _state(connection)
    if state is None:
        raise SchemaOutOfDate(
            "this database has no schema spocdb yet: run `spocdb.db.schema.init(...)` on it"
        )
    _refuse_unknown(state.revision)
    if state.revision != HEAD:
        raise SchemaOutOfDate(
            f"the schema spocdb is at {state.revision}, this program needs {HEAD}: "
            "run `spocdb.db.schema.upgrade(...)`"
        )
    if state.functions != sql_files.fingerprint():
        raise SchemaOutOfDate(
            "the functions in the schema spocdb are not this program's: "
            "run `spocdb.db.schema.upgrade(...)`"
        )


def _state(connection: Connection) -> State | None:
    if one_row(connection, "SELECT to_regclass('spocdb.alembic_version') IS NULL")[0]:
        return None
    try:
        row = connection.execute(STATE).fetchone()
    except psycopg.errors.InsufficientPrivilege as exc:
        raise DatabaseError(
            f"the role {connection.info.user} may not read spocdb.alembic_version: the owner of "
            "spocdb runs `spocdb.db.schema.upgrade(...)`, which lets readers do so, or "
            "`db.grant_reader(...)`"
        ) from exc
    return State(*row) if row else None


def _refuse_unknown(revision: str) -> None:
    if revision in UNRELEASED:
        raise SchemaOutOfDate(
            f"the schema spocdb is at {revision}, from before release 0.1.0, and cannot be "
            "upgraded: run `DROP SCHEMA spocdb CASCADE` in this database "
            "(`spocdb.db.embedded.start(...)` gives the URL of an embedded one), "
            "then `spocdb.db.schema.init(...)`, and ingest or attach again"
        )
    if revision not in REVISIONS:
        raise SchemaOutOfDate(
            f"the schema spocdb is at {revision}, newer than this program ({HEAD}): upgrade spocdb"
        )


def init(url: str) -> None:
    """Create the schema, and the extension vector if it is missing.

    Raises:
        SchemaOutOfDate: there is a schema that this program does not know.
        DatabaseError: a statement failed, or a right is missing.
    """
    upgrade(url)


def upgrade(url: str) -> None:
    """Bring tables and functions to this program's state, in one transaction.

    Functions are replaced even if no revision is new.

    Raises:
        SchemaOutOfDate: this program does not know the database's revision.
        DatabaseError: a statement failed, or a right is missing.
    """
    _alembic(url, "upgrade", HEAD, sql_files.FUNCTIONS)


def downgrade(url: str, release: str) -> None:
    """Go back to a release's tables and functions ("base" leaves only the empty schema).

    Raises:
        ConfigError: there is no such release.
        SchemaOutOfDate: this program does not know the database's revision.
        DatabaseError: a statement failed, or a right is missing.
    """
    functions = None
    if release != "base":
        if release not in REVISIONS or not sql_files.is_release(release):
            known = ", ".join(filter(sql_files.is_release, REVISIONS))
            raise ConfigError(f"no release {release!r}: choose one of {known}")
        functions = f"releases/{release}/functions"
    _alembic(url, "downgrade", release, functions)


def upgrade_sql(revision: str = "base") -> str:
    """Return the SQL that `upgrade` runs on a database at `revision`, for a DBA to read and run.

    Raises:
        ConfigError: there is no such revision.
    """
    if revision not in ("base", *REVISIONS):
        raise ConfigError(f"no revision {revision!r}: see `spocdb.db.schema.current(...)`")
    from alembic import command

    out = io.StringIO()
    config = _config(output_buffer=out)
    config.attributes["functions"] = sql_files.FUNCTIONS
    command.upgrade(config, f"{revision}:{HEAD}", sql=True)
    return out.getvalue()


def _alembic(url: str, verb: str, revision: str, functions: str | None) -> None:
    from alembic import command
    from alembic.util import CommandError
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    with opened(url) as connection:
        server.refuse_old(connection)
        found = current(connection)
        if found is not None:
            _refuse_unknown(found)
    engine = create_engine("postgresql+psycopg://", creator=lambda: _open(url), poolclass=NullPool)
    try:
        with engine.connect() as alchemy:
            config = _config()
            config.attributes.update(connection=alchemy, functions=functions)
            getattr(command, verb)(config, revision)
        # An upgrade run by a superuser must leave no function that runs with a superuser's rights.
        with opened(url) as connection:
            ownership.keep_owner(connection)
    except DBAPIError as exc:
        raise _explain(exc.orig) from exc
    except CommandError as exc:
        raise DatabaseError(f"the migration failed: {exc}") from exc


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
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return DatabaseError(
            f"the migration failed: {str(exc).strip().splitlines()[0]}: use the role that owns "
            "spocdb, or one that may create schemas here; `spocdb.db.doctor.examine(...)` tells why"
        )
    if isinstance(exc, psycopg.errors.DependentObjectsStillExist):
        # Such as a view of the application that calls a function which gets another argument.
        found = ", ".join((exc.diag.message_detail or str(exc)).splitlines())
        return DatabaseError(
            f"the migration failed: {found}: drop it, migrate, then create it again"
        )
    return DatabaseError(f"the migration failed: {str(exc).strip().splitlines()[0]}")


def _config(**options: Any) -> Any:
    from alembic.config import Config

    config = Config(**options)
    config.set_main_option("script_location", str(files("spocdb.migrations")))
    return config
