"""What can be wrong with a server, found before it hurts, each with what to do."""

import re
from dataclasses import dataclass
from typing import Literal

from spocdb.db.engine import Connection, one_row
from spocdb.db.schema import HEAD, current
from spocdb.errors import DatabaseError

OLDEST_SERVER = 14
OLDEST_VECTOR = (0, 8, 0)
# 0.8.2 to 0.8.4 mended parallel HNSW builds (buffer overflow) and vacuuming (index corruption).
SOUND_VECTOR = (0, 8, 4)
ENOUGH_MAINTENANCE_MEMORY = 256 * 1024**2

Verdict = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do unless all is well."""

    verdict: Verdict
    what: str
    advice: str = ""


def examine(connection: Connection) -> list[Finding]:
    """Look at server version, extension, schema, rights and memory."""
    return [
        _server(connection),
        _vector(connection),
        _schema(connection),
        _rights(connection),
        _maintenance_memory(connection),
    ]


def refuse_old_server(connection: Connection) -> None:
    """Raise DatabaseError for a server or an extension that spocdb cannot work with."""
    for finding in (_server(connection), _vector(connection)):
        if finding.verdict == "error":
            raise DatabaseError(f"{finding.what}: {finding.advice}")


def _server(connection: Connection) -> Finding:
    return judge_server(connection.info.server_version // 10000)


def judge_server(version: int) -> Finding:
    """Judge a major version of PostgreSQL."""
    if version < OLDEST_SERVER:
        return Finding(
            "error",
            f"PostgreSQL {version}",
            f"spocdb needs {OLDEST_SERVER} or newer: upgrade the server",
        )
    return Finding("ok", f"PostgreSQL {version}")


def _vector(connection: Connection) -> Finding:
    row = connection.execute(
        "SELECT default_version, installed_version FROM pg_available_extensions "
        "WHERE name = 'vector'"
    ).fetchone()
    if row is None:
        return Finding(
            "error",
            "pgvector is not on this server",
            "install the package pgvector beside PostgreSQL",
        )
    return judge_vector(row[1] or row[0], is_created=row[1] is not None)


def judge_vector(version: str, *, is_created: bool) -> Finding:
    """Judge a version of pgvector."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    what = f"pgvector {version}" + ("" if is_created else " (available, not yet created)")
    update = "install a newer pgvector, then run `ALTER EXTENSION vector UPDATE`"
    if numbers < OLDEST_VECTOR:
        return Finding("error", what, f"spocdb needs 0.8.0 or newer: {update}")
    if numbers < SOUND_VECTOR:
        return Finding(
            "warning", what, f"older ones can corrupt an HNSW index when vacuuming: {update}"
        )
    return Finding("ok", what)


def _schema(connection: Connection) -> Finding:
    found = current(connection)
    if found == HEAD:
        return Finding("ok", f"schema spocdb at {found}")
    if found is None:
        return Finding("warning", "no schema spocdb yet", "run `spocdb db init`")
    advice = "run `spocdb db upgrade`" if found < HEAD else "it is newer: upgrade spocdb"
    return Finding("error", f"schema spocdb at {found}, not {HEAD}", advice)


def _rights(connection: Connection) -> Finding:
    role, database, may_create, may_extend = one_row(
        connection,
        "SELECT quote_ident(current_user), quote_ident(current_database()), "
        "CASE WHEN to_regnamespace('spocdb') IS NULL "
        "     THEN has_database_privilege(current_database(), 'CREATE') "
        "     ELSE has_schema_privilege('spocdb', 'CREATE') END, "
        "EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') "
        "OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
    )
    if not may_create:
        return Finding(
            "error",
            f"role {role} may not create what spocdb needs in {database}",
            f"as its owner run `GRANT CREATE ON DATABASE {database} TO {role}`, "
            "or use the role that ran `spocdb db init`",
        )
    if not may_extend:
        return Finding(
            "warning",
            f"role {role} may not create the extension vector",
            "ask a superuser to run `CREATE EXTENSION vector` in this database",
        )
    return Finding("ok", f"role {role} may do what spocdb needs")


def _maintenance_memory(connection: Connection) -> Finding:
    shown, size = one_row(
        connection,
        "SELECT current_setting('maintenance_work_mem'), "
        "pg_size_bytes(current_setting('maintenance_work_mem'))",
    )
    if size < ENOUGH_MAINTENANCE_MEMORY:
        return Finding(
            "warning",
            f"maintenance_work_mem is {shown}",
            "spocdb raises it for its own index builds; for others set 256MB or more",
        )
    return Finding("ok", f"maintenance_work_mem is {shown}")
