"""Indexes of embedding tables in parts: built at once, killed, continued, moved."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector
from psycopg.sql import SQL, Identifier

from spocdb.db import building, collections, connections, curves, doctor, indexes, recalls
from spocdb.db.collections import Collection
from spocdb.db.leftovers import drop_left_indexes
from spocdb.errors import ConfigError
from spocdb.records import Float32Array, Recipe
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.fixtures.waiting import WaitForLock, WaitUntil

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

N_PARTS = 3
TABLE = "embeddings_1_1"
PARTS = [f"{TABLE}_{n}_of_3" for n in range(N_PARTS)]

INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname LIKE 'embeddings%hnsw%' ORDER BY 1
"""
# Of the first two parts, whether they are in place or not.
OIDS = """
SELECT array_agg(oid::bigint ORDER BY relname) FROM pg_class
WHERE relname ~ '^embeddings_1_1_[01]_of_3_hnsw(_new)?$'
"""
ALL = sorted((f"{name}_hnsw", True) for name in [TABLE, *PARTS])
NEW = [f"{name}_hnsw_new" for name in PARTS]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure by fewer queries, which is quicker."""
    monkeypatch.setattr(curves, "FEWEST", 30)
    monkeypatch.setattr(curves, "MOST", 30)


@pytest.fixture
def parts(db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe) -> Database:
    """Return a database of 300 images whose embeddings are in three parts, without an index."""
    collections.create(db.connection, "photos", made_up, 32, N_PARTS)
    add_images(db.connection, clustered(300))
    return db


def found(db: Database) -> list[tuple[str, bool]]:
    return db.connection.execute(INDEXES).fetchall()


def lock(connection: connections.Connection, table: str) -> None:
    """Lock a table as a writer does, until the transaction ends. Builds wait for it."""
    connection.autocommit = False
    statement = SQL("LOCK TABLE spocdb.{} IN ROW EXCLUSIVE MODE")
    connection.execute(statement.format(Identifier(table)))


def test_processes_and_memory_are_shared_by_the_builds(parts: Database) -> None:
    db, dim = parts.connection, 2000
    db.execute("SET max_parallel_maintenance_workers = 5; SET maintenance_work_mem = '64MB'")
    small = building.plan(db, PARTS, dim, "hnsw-vector")
    assert (small.at_once, small.workers) == (3, 1)
    assert building.plan(db, PARTS[:1], dim, "hnsw-vector").workers == 5
    # As large parts are: 1.2 GB each, of which three fit into 4 GB.
    db.execute("UPDATE pg_class SET reltuples = 120000 WHERE relname = ANY (%s)", [PARTS])
    large = building.plan(db, PARTS, dim, "hnsw-vector")
    assert large.at_once == 3 and 1_200_000 < int(large.memory.removesuffix("kB")) < 1_400_000
    db.execute("UPDATE pg_class SET reltuples = 200000 WHERE relname = ANY (%s)", [PARTS])
    assert building.plan(db, PARTS, dim, "hnsw-vector").at_once == 1
    assert building.plan(db, PARTS, dim, "hnsw-bit").at_once == 3
    # The server may be allowed more.
    db.execute("SET maintenance_work_mem = '8GB'")
    assert building.plan(db, PARTS, dim, "hnsw-vector").at_once == 3
    db.execute("SET max_parallel_maintenance_workers = 0")
    alone = building.plan(db, PARTS, dim, "hnsw-vector")
    assert (alone.at_once, alone.workers, alone.memory) == (1, 0, "8388608kB")


@pytest.mark.servers
def test_parts_are_built_at_once_while_writers_and_searches_go_on(
    parts: Database, clustered: Clustered, wait_for_lock: WaitForLock
) -> None:
    parts.index.build()
    before = parts.connection.execute("SELECT 'spocdb.embeddings_1_1_hnsw'::regclass::oid")
    old = before.fetchone()
    new = clustered(310)[305]
    with connections.connect(parts.url) as writer, ThreadPoolExecutor(1) as pool:
        lock(writer, TABLE)
        writer.execute(
            "INSERT INTO spocdb.images (collection_id, path, sha256, version, size, width, height) "
            "SELECT 1, '/new.jpg', sha256, '1', 1, 1, 1 FROM spocdb.images LIMIT 1"
        )
        row = writer.execute("SELECT id FROM spocdb.images WHERE path = '/new.jpg'").fetchone()
        assert row is not None
        writer.execute("INSERT INTO spocdb.embeddings_1_1 VALUES (%s, %s)", [row[0], Vector(new)])
        build = pool.submit(parts.index.build)
        wait_for_lock(parts.connection, N_PARTS)
        assert [name for name, valid in found(parts) if not valid] == NEW
        assert parts.similar(1, 3)[0].method == "hnsw", "the old index answers"
        writer.commit()
        build.result()
    assert found(parts) == ALL
    now = parts.connection.execute("SELECT 'spocdb.embeddings_1_1_hnsw'::regclass::oid").fetchone()
    assert now != old
    statement = "SELECT path, method FROM spocdb.search('photos', %s, 1)"
    hit = parts.connection.execute(statement, [Vector(new)]).fetchone()
    assert hit == ("/new.jpg", "hnsw")


def interrupted(db: Database, wait_until: WaitUntil, end: Callable[[], object]) -> None:
    """Call `end` when the indexes of two parts are built and that of the third waits."""
    wait_until(lambda: found(db) == [(NEW[0], True), (NEW[1], True), (NEW[2], False)])
    end()


OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'CREATE INDEX%'
"""


def test_a_lost_build_keeps_what_is_finished_and_the_next_one_goes_on(
    parts: Database, wait_until: WaitUntil
) -> None:
    with connections.connect(parts.url) as writer, ThreadPoolExecutor(1) as pool:
        lock(writer, PARTS[2])
        build = pool.submit(parts.index.build)
        interrupted(parts, wait_until, lambda: parts.connection.execute(OTHERS))
        with pytest.raises(Exception, match=r"terminat|lost|clos"):
            build.result()
    assert parts.index.status()[0].index is None
    assert parts.similar(1, 3)[0].method == "exact"
    said = [(f.what, f.advice) for f in doctor.examine(parts.connection) if "interrupted" in f.what]
    assert [what for what, _ in said] == [
        f"an interrupted build left the index {NEW[2]}",
        f"an interrupted build finished 2 indexes of {TABLE}",
    ]
    assert "which builds the others" in said[1][1]
    # Those of other tables' builds drop only what is broken.
    assert drop_left_indexes(parts.connection) == [NEW[2]]
    oids = parts.connection.execute(OIDS).fetchone()
    parts.index.build()
    assert found(parts) == ALL
    assert parts.connection.execute(OIDS).fetchone() == oids, "not built again"
    assert not [f for f in doctor.examine(parts.connection) if "interrupted" in f.what]


def test_what_is_finished_goes_for_another_kind_and_by_the_doctor(
    parts: Database, wait_until: WaitUntil
) -> None:
    target = collections.get(parts.connection, "photos")
    for part in PARTS[:2]:
        planned = building.plan(parts.connection, PARTS, 32, "hnsw-vector")
        building._build(parts.connection, part, 32, "hnsw-vector", planned)
    assert [name for name, _ in found(parts)] == NEW[:2]
    indexes.build(parts.connection, target, 1, "hnsw-bit")
    definition = parts.connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%bit_hamming_ops%'"
    ).fetchone()
    assert definition == (N_PARTS + 1,)
    building._build(
        parts.connection,
        PARTS[0],
        32,
        "hnsw-vector",
        building.plan(parts.connection, PARTS, 32, "hnsw-vector"),
    )
    assert doctor.fix(parts.connection) == [f"dropped the index {NEW[0]}"]
    assert found(parts) == ALL


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_program_is_in_nobody_s_way(
    parts: Database, wait_until: WaitUntil, start_spocdb: Callable[..., Any], number: int
) -> None:
    with connections.connect(parts.url) as writer, ThreadPoolExecutor(1) as pool:
        lock(writer, PARTS[2])
        process = start_spocdb("index", "build", "--db", parts.url)
        wait_until(
            lambda: found(parts) == [(NEW[0], True), (NEW[1], True), (NEW[2], False)], process
        )
        oids = parts.connection.execute(OIDS).fetchone()
        process.send_signal(number)
        process.wait()
        # The server does not see that its client is gone while it waits for the writer.
        again = pool.submit(parts.index.build)
        if number == signal.SIGINT:
            wait_until(lambda: found(parts)[-1] == (NEW[2], False))
        writer.commit()
        assert (again.result() or 0) >= 0.98
    assert found(parts) == ALL
    assert parts.connection.execute(OIDS).fetchone() == oids


def test_a_kind_that_finds_too_few_leaves_the_old_indexes(
    db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe
) -> None:
    collections.create(db.connection, "photos", made_up, 32, N_PARTS)
    # All numbers are positive, so all signs are alike.
    target = add_images(db.connection, np.abs(clustered(1800)))
    db.index.build(kind="hnsw-vector")
    recalls.want(db.connection, target, 1)
    before = db.connection.execute(OIDS).fetchone()
    with pytest.raises(ConfigError, match=r"hnsw-bit finds 0\.\d+ .* the index stays hnsw-vector"):
        db.index.build(kind="hnsw-bit")
    assert found(db) == ALL
    assert db.connection.execute(OIDS).fetchone() == before


def test_a_copy_that_a_killed_move_left_is_found_and_replaced(parts: Database) -> None:
    target = collections.get(parts.connection, "photos")
    parts.connection.execute("SELECT spocdb.copy_embeddings(1, 2)")
    doctors = [f.what for f in doctor.examine(parts.connection) if "left the table" in f.what]
    assert doctors == [f"a killed command left the table {TABLE}_new"]
    assert doctor.fix(parts.connection) == [f"dropped the table {TABLE}_new"]
    parts.connection.execute("SELECT spocdb.copy_embeddings(1, 2)")
    # What changes after the copy moves, too.
    everything = "SELECT image_id, embedding::text FROM spocdb.embeddings_1_1 ORDER BY 1"
    parts.connection.execute("DELETE FROM spocdb.images WHERE id < 20")
    parts.connection.execute(
        "UPDATE spocdb.embeddings_1_1 SET embedding = (SELECT embedding FROM spocdb.embeddings_1_1 "
        "WHERE image_id = 50) WHERE image_id BETWEEN 51 AND 55"
    )
    parts.connection.execute(
        "INSERT INTO spocdb.embeddings_1_1 SELECT 9999, embedding FROM spocdb.embeddings_1_1 "
        "WHERE image_id = 60"
    )
    expected = parts.connection.execute(everything).fetchall()
    parts.connection.execute("SELECT spocdb.repartition(1, 2)")
    assert parts.connection.execute(everything).fetchall() == expected and len(expected) == 282
    indexes.repartition(parts.connection, collections.get(parts.connection, "photos"), 3)
    assert parts.connection.execute(everything).fetchall() == expected
    parts.connection.execute("SELECT spocdb.copy_embeddings(1, 2)")
    collections.drop(parts.connection, target)
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'embeddings\\_1\\_%'"
    assert connections.one_row(parts.connection, left) == (0,)


def test_a_move_waits_for_a_build(
    parts: Database, wait_for_lock: WaitForLock, wait_until: WaitUntil
) -> None:
    with connections.connect(parts.url) as writer, ThreadPoolExecutor(2) as pool:
        lock(writer, PARTS[2])
        build = pool.submit(parts.index.build)
        wait_until(lambda: (NEW[2], False) in found(parts))
        wait_for_lock(parts.connection)
        move = pool.submit(parts.index.build, partitions=2)
        asks = "SELECT count(*) > 1 FROM pg_stat_activity WHERE query LIKE '%try_advisory_lock%'"
        wait_until(lambda: connections.one_row(parts.connection, asks)[0])
        writer.commit()
        build.result()
        move.result()
    assert [s.partitions for s in parts.index.status()] == [2]
    assert len(found(parts)) == 3 and all(valid for _, valid in found(parts))


@pytest.mark.servers
def test_embeddings_move_into_parts_and_back(
    db: Database, add_images: AddImages, clustered: Clustered, role: str, spocdb: Run
) -> None:
    add_images(db.connection, clustered(300))
    db.index.build(kind="hnsw-vector")
    db.connection.execute("CREATE VIEW shop AS SELECT path, embedding FROM spocdb.photos")
    db.grant_reader(role, "photos")
    everything = "SELECT path, embedding::text FROM shop ORDER BY path"
    expected = db.connection.execute(everything).fetchall()
    near = db.similar(7, 5, exact=True)
    for n in (3, 2, 1):
        ran = spocdb("index", "build", "--partitions", n, "--db", db.url)
        assert float(ran.stdout.removeprefix("recall@10 ")) >= 0.98
        assert (db.index.status()[0].partitions, len(found(db))) == (n, n + 1 if n > 1 else 1)
        assert db.connection.execute(everything).fetchall() == expected
        assert db.similar(7, 5, exact=True) == near
        assert db.similar(7, 5)[0].method == "hnsw"
        granted = "SELECT has_table_privilege(%s, 'spocdb.photos', 'SELECT')"
        assert db.connection.execute(granted, [role]).fetchone() == (True,)
    listed = spocdb("index", "status", "--db", db.url)
    assert "tables" in listed.stdout
    left = "SELECT count(*) FROM pg_class WHERE relname ~ '_old|_of_'"
    assert db.connection.execute(left).fetchone() == (0,)


def test_a_worker_writes_into_parts_and_a_reader_sees_none(
    granted: Any, roles: dict[str, str], log_in: Callable[[str], connections.Connection]
) -> None:
    granted.db.index.build("products", partitions=2)
    number = granted.execute(
        "SELECT id, active_projection_id FROM spocdb.collections WHERE name = 'products'"
    ).fetchone()
    table = "embeddings_{}_{}".format(*number)
    worker, reader = log_in(roles["worker"]), log_in(roles["reader"])
    statements = (
        "INSERT INTO spocdb.{} SELECT image_id + 1000, embedding FROM spocdb.{}",
        "DELETE FROM spocdb.{} WHERE image_id > 1000",
    )
    for statement in statements:
        made = worker.execute(SQL(statement.replace("{}", "{0}")).format(Identifier(table)))
        assert made.rowcount == 6
    hits = reader.execute("SELECT * FROM spocdb.similar_rows('products', 1)").fetchall()
    assert len(hits) == 5
    for name in (table, f"{table}_0_of_2"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(SQL("SELECT FROM spocdb.{}").format(Identifier(name)))


def test_an_ingest_makes_parts(db: Database, spocdb: Run, make_photos: Callable[..., Path]) -> None:
    folder = make_photos(4)
    ran = spocdb("ingest", folder, "--partitions", 8, "--extractor", "mini", "--db", db.url)
    assert ran.returncode == 0, ran.stderr
    (status,) = db.index.status()
    assert (status.partitions, status.index) == (8, "embeddings_1_1_hnsw")
    assert [hit.method for hit in db.similar(1, 3)] == ["hnsw"] * 3, "most parts are empty"
    again = spocdb("ingest", folder, "--partitions", 8, "--db", db.url)
    assert again.returncode == 0, "the same command continues"
