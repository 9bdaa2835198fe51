"""Build the index of an embedding table, or of its parts, several at once.

Each part has an index of its own, named `{part}_hnsw_new` until those of all parts are there. One
transaction then puts them in the place of the old ones. What an interrupted build finished is kept,
and the next build continues with the other parts. A table without parts is its own only part.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from spocdb.db import kinds, sessions
from spocdb.db.connections import Connection, one_row
from spocdb.db.kinds import Kind
from spocdb.db.leftovers import build_lock, drop_index

log = logging.getLogger(__name__)

# Chosen on 107,000 real whitened embeddings with queries that are not among them: recall@10 at
# pgvector's default ef_search of 40 is 0.99, against 0.976 with its own defaults (16, 64).
M = 24
EF_CONSTRUCTION = 128
# Bound of the memory of all builds at once. A build is quick while its graph fits in memory; a
# larger graph continues on disk, slowly.
MOST_BUILD_MEMORY = 4 * 1024**3

SECONDS_BETWEEN_TRIES = 0.2

PARTS = """
SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
WHERE i.inhparent = format('spocdb.%%I', %s::text)::regclass ORDER BY p.oid
"""

SETTINGS = """
SELECT pg_size_bytes(current_setting('maintenance_work_mem')),
       current_setting('max_parallel_maintenance_workers')::integer
"""

IS_BUILT = """
SELECT EXISTS (
    SELECT FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE x.oid = to_regclass(format('spocdb.%%I', %s::text)) AND i.indisvalid
      AND o.opcname = %s AND coalesce(x.reloptions, '{}') = %s::text[])
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How parts are built: this many at once, each with this memory and these parallel workers."""

    at_once: int
    memory: str
    workers: int


def parts_of(connection: Connection, table: str) -> list[str]:
    """Return the names of an embedding table's parts; of one without parts its own."""
    return [name for (name,) in connection.execute(PARTS, [table])] or [table]


def plan(connection: Connection, parts: Sequence[str], dim: int, kind: Kind) -> Plan:
    """Plan a build that takes the processes of the server's one index build, and bounded memory."""
    needed = max(_needed_bytes(connection, part, dim, kind) for part in parts)
    current, workers = one_row(connection, SETTINGS)
    budget = max(current, MOST_BUILD_MEMORY)
    at_once = max(min(len(parts), 1 + workers, budget // needed), 1)
    n_bytes = max(min(needed, budget), min(current, budget // at_once))
    return Plan(at_once, f"{n_bytes // 1024}kB", (1 + workers) // at_once - 1)


def _needed_bytes(connection: Connection, table: str, dim: int, kind: Kind) -> int:
    """Return the bytes of a table's graph while it is built."""
    (n_rows,) = one_row(connection, "SELECT spocdb.estimated_rows(%s)", [table])
    # An element is what it holds and about 2 m links of 16 bytes with their overhead.
    n_bytes = dim * kinds.BITS_OF_A_NUMBER[kind] / 8
    return int(max(n_rows, 1) * (n_bytes + 2 * M * 24 + 200) * 1.2) + 64 * 1024**2


def create(
    connection: Connection,
    connect: Callable[[], Connection] | None,
    parts: Sequence[str],
    dim: int,
    kind: Kind,
) -> None:
    """Build the new indexes of parts, several at once if there is `connect`.

    After a full disk the finished ones are dropped, because their room may be needed.

    Raises:
        psycopg.Error: an index could not be built; the others are stopped.
    """
    planned = plan(connection, parts, dim, kind)
    try:
        if connect is None or planned.at_once == 1:
            for part in parts:
                _build(connection, part, dim, kind, planned)
        else:
            _at_once(connect, parts, dim, kind, planned)
    except psycopg.errors.DiskFull:
        drop_new(connection, parts)
        raise


def _at_once(
    connect: Callable[[], Connection], parts: Sequence[str], dim: int, kind: Kind, planned: Plan
) -> None:
    log.info("building the indexes of %s parts, %s at once", len(parts), planned.at_once)
    with ExitStack() as stack, ThreadPoolExecutor(planned.at_once, "build") as pool:
        opened = [stack.enter_context(connect()) for _ in range(planned.at_once)]
        idle: SimpleQueue[Connection] = SimpleQueue()
        for one in opened:
            idle.put(one)

        def build(part: str) -> None:
            one = idle.get()
            try:
                _build(one, part, dim, kind, planned)
            finally:
                idle.put(one)

        running = [pool.submit(build, part) for part in parts]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            _stop(pool, opened, running)
            raise


def _stop(
    pool: ThreadPoolExecutor, opened: Sequence[Connection], running: Sequence[Future[None]]
) -> None:
    """Cancel the statements of builds until all have ended; a cancel between two has no effect."""
    pool.shutdown(wait=False, cancel_futures=True)
    while wait(running, timeout=0).not_done:
        for one in opened:
            with suppress(psycopg.Error):
                one.cancel()
        wait(running, timeout=SECONDS_BETWEEN_TRIES)


def _build(connection: Connection, part: str, dim: int, kind: Kind, planned: Plan) -> None:
    name = f"{part}_hnsw_new"
    # The session of a program that was killed may still be building it.
    with alone(connection, part):
        if _is_built(connection, name, kind):
            return
        # An interrupted build may have left an invalid index, or one of another kind.
        connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(name)))
        with sessions.raised(
            connection,
            maintenance_work_mem=planned.memory,
            max_parallel_maintenance_workers=str(planned.workers),
        ):
            _create(connection, part, name, dim, kind)


def _is_built(connection: Connection, name: str, kind: Kind) -> bool:
    values = [name, kinds.operators(kind), [f"{key}={value}" for key, value in _graph(kind)]]
    return bool(one_row(connection, IS_BUILT, values)[0])


def _graph(kind: Kind) -> list[tuple[str, int]]:
    return [] if kind == "diskann" else [("m", M), ("ef_construction", EF_CONSTRUCTION)]


def _statement(
    connection: Connection, begin: str, name: str, table: str, dim: int, kind: Kind
) -> Composed:
    statement = SQL(begin + " USING {made}").format(
        index=Identifier(name), table=Identifier(table), made=kinds.made(connection, kind, dim)
    )
    if graph := _graph(kind):
        options = [SQL("{} = {}").format(SQL(key), Literal(value)) for key, value in graph]
        statement += SQL(" WITH ({})").format(SQL(", ").join(options))
    return statement


def _create(connection: Connection, table: str, name: str, dim: int, kind: Kind) -> None:
    begin = "CREATE INDEX CONCURRENTLY {index} ON spocdb.{table}"
    statement = _statement(connection, begin, name, table, dim, kind)
    try:
        try:
            connection.execute(statement)
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
            # Parallel workers share the graph through /dev/shm, which containers often keep small.
            connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(name)))
            with sessions.raised(connection, max_parallel_maintenance_workers="0"):
                connection.execute(statement)
    except BaseException:
        # The index is invalid. If it cannot be dropped now, the next build or activation drops it.
        with suppress(psycopg.Error):  # the build's own error is the one to raise
            drop_index(connection, name)
        raise


def put_in_place(
    connection: Connection, table: str, parts: Sequence[str], dim: int, kind: Kind
) -> None:
    """Replace a table's index by the new indexes of its parts. In a transaction."""
    if parts != [table]:
        # Searches lock the table before its parts and their indexes; so does this.
        connection.execute(
            SQL("LOCK TABLE spocdb.{} IN ACCESS EXCLUSIVE MODE").format(Identifier(table))
        )
        begin, new = "CREATE INDEX {index} ON ONLY spocdb.{table}", f"{table}_hnsw_new"
        connection.execute(_statement(connection, begin, new, table, dim, kind))
        for part in parts:
            attach = SQL("ALTER INDEX spocdb.{} ATTACH PARTITION spocdb.{}")
            connection.execute(attach.format(Identifier(new), Identifier(f"{part}_hnsw_new")))
    drop = SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(f"{table}_hnsw"))
    connection.execute(drop)
    for one in {table, *parts}:
        rename = SQL("ALTER INDEX spocdb.{} RENAME TO {}")
        connection.execute(rename.format(Identifier(f"{one}_hnsw_new"), Identifier(f"{one}_hnsw")))


def drop_new(connection: Connection, parts: Sequence[str]) -> None:
    """Drop the new indexes of parts, as far as a connection can."""
    for part in parts:
        with suppress(psycopg.Error):
            drop_index(connection, f"{part}_hnsw_new")


@contextmanager
def alone(connection: Connection, table: str) -> Iterator[None]:
    """Hold the table's advisory lock, so that no other session builds its index meanwhile."""
    key = [build_lock(table)]
    # Polls instead of waiting in pg_advisory_lock: a waiting session holds a snapshot, and the
    # other session's CREATE INDEX CONCURRENTLY waits for snapshots, which is a deadlock.
    while not one_row(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)[0]:
        time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        yield
    finally:
        # A lost connection holds no lock, and its own error is the one to raise.
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)
