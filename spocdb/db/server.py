"""Check a server: PostgreSQL's version, pgvector's, the encoding, memory for indexes."""

import re
from dataclasses import dataclass
from typing import Literal

from spocdb.db.connections import Connection, one_row
from spocdb.errors import DatabaseError

OLDEST_SERVER = 14
OLDEST_VECTOR = (0, 8, 0)
# 0.8.2 to 0.8.4 fixed parallel HNSW builds (buffer overflow) and vacuuming (index corruption).
SOUND_VECTOR = (0, 8, 4)

ENOUGH_MAINTENANCE_MEMORY = 256 * 1024**2
# Far more than a CPU's translation buffers (TLB) cover with 4 kB pages.
LARGE_INDEXES = 512 * 1024**2

INDEX_BYTES = """
SELECT coalesce(sum(pg_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE a.amname IN ('hnsw', 'diskann') AND c.relnamespace = to_regnamespace('spocdb')
"""

# Servers before 17 have no huge_pages_status.
MEMORY_PAGES = """
SELECT current_setting('huge_pages_status', true),
       current_setting('shared_memory_size_in_huge_pages', true)
"""

# Its setting is there while it is loaded. shared_preload_libraries is shown to few roles.
IS_COLD = """
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm')
   AND coalesce(current_setting('pg_prewarm.autoprewarm', true), 'off') = 'off'
"""

Verdict = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `advice` says what to do unless the verdict is ok."""

    verdict: Verdict
    what: str
    advice: str = ""


def versions(connection: Connection) -> list[Finding]:
    """Check the versions of the server and of its pgvector, and the database's encoding."""
    return [
        judge_server(connection.info.server_version // 10000),
        _vector(connection),
        *_encoding(connection),
    ]


def refuse_old(connection: Connection) -> None:
    """Refuse a server, extension or encoding that spocdb cannot work with.

    Raises:
        DatabaseError: the first such finding, with its advice.
    """
    for finding in versions(connection):
        if finding.verdict == "error":
            raise DatabaseError(f"{finding.what}: {finding.advice}")


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


def _encoding(connection: Connection) -> list[Finding]:
    # File names and metadata are Unicode. Another encoding would refuse some of them, and SQL_ASCII
    # would return bytes that are not text.
    (encoding,) = one_row(connection, "SHOW server_encoding")
    if encoding == "UTF8":
        return []
    advice = "spocdb needs UTF8: make one with `CREATE DATABASE ... ENCODING 'UTF8'`"
    return [Finding("error", f"the database is encoded in {encoding}", advice)]


def memory(connection: Connection) -> list[Finding]:
    """Check the memory for building indexes, and for searching large ones."""
    (n_bytes,) = one_row(connection, INDEX_BYTES)
    checks = [_memory_pages, _cold_start] if n_bytes >= LARGE_INDEXES else []
    large = f"indexes of {n_bytes / 1e9:.1f} GB"
    return [
        _maintenance_memory(connection),
        *(finding for check in checks for finding in check(connection, large)),
    ]


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


def _memory_pages(connection: Connection, indexes: str) -> list[Finding]:
    status, n_needed = one_row(connection, MEMORY_PAGES)
    if status != "off" or n_needed in (None, "-1"):
        return []
    return [
        Finding(
            "warning",
            f"{indexes} are searched without huge pages",
            f"reserve {n_needed} more on the server's machine (vm.nr_hugepages), restart the "
            "server with huge_pages = try: searches take up to a quarter less time",
        )
    ]


def _cold_start(connection: Connection, indexes: str) -> list[Finding]:
    """Check whether a server that could fill its memory after a start does so."""
    (is_cold,) = one_row(connection, IS_COLD)
    if not is_cold:
        return []
    return [
        Finding(
            "warning",
            f"{indexes} are read from the disk by the first searches after a restart",
            "start the server with shared_preload_libraries = 'pg_prewarm': it reads again what "
            "was in memory",
        )
    ]


def commits_wait(connection: Connection) -> bool:
    """Tell whether a commit waits for the server's disk, or for a standby."""
    (setting,) = one_row(connection, "SHOW synchronous_commit")
    return bool(setting != "off")
