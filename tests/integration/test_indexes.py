"""HNSW indexes: built and rebuilt while searches run, measured, and described."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL

from spocdb.db import collections, connections, indexes, recalls
from spocdb.db.collections import Collection
from spocdb.errors import CollectionNotFound
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitForLock, WaitUntil

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

VALID = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname LIKE 'embeddings%hnsw%' ORDER BY 1
"""
SEARCH = "SELECT path FROM spocdb.photos ORDER BY embedding <#> spocdb.embed('photos', %s) LIMIT 5"


def test_status_says_what_there_is(gallery: Database) -> None:
    raw, active = gallery.index.status("photos")
    assert (raw.projection, raw.active, raw.index_type) == (1, False, "vector")
    assert (active.projection, active.active, active.index_type) == (2, True, "vector")
    assert (raw.n_rows, active.n_rows) == (5000, 5000)
    assert (raw.index, active.index) == ("embeddings_1_1_hnsw", "embeddings_1_2_hnsw")
    assert (active.recall, active.recall_settings) == (None, None)
    assert gallery.index.status() == [raw, active]
    with pytest.raises(CollectionNotFound, match="no collection named nothing"):
        gallery.index.status("nothing")
    with pytest.raises(CollectionNotFound, match="no collection named nothing"):
        gallery.index.build("nothing")


def test_recall_is_measured_stored_and_printed(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    spocdb: Callable[..., "object"],
    measured_well: None,
) -> None:
    add_images(db.connection, clustered(1000, 64))
    db.index.build(kind="hnsw-vector")
    before = db.index.status()[0].bytes or 0
    ran = spocdb("index", "build", "--kind", "hnsw-halfvec")
    recall = float(ran.stdout.removeprefix("recall@10 "))  # type: ignore[attr-defined]
    assert 0.99 <= recall <= 1
    status = db.index.status()[0]
    assert status.recall == pytest.approx(recall, abs=1e-4)
    assert status.recall_settings == {"k": 10, "queries": 100, "rows": 1000, "ef_search": 16}
    assert status.index_type == "halfvec"
    assert before * 0.4 < (status.bytes or 0) < before * 0.9
    assert db.index.build("photos", "hnsw-vector") is not None
    assert db.index.status()[0].index_type == "vector"


def test_recall_is_less_where_the_index_misses_something(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(600))
    db.index.build(kind="hnsw-vector")
    assert recalls.measure(db.connection, target, 1) == 1
    # An index of only some rows, to simulate a graph with low recall.
    db.connection.execute("DROP INDEX spocdb.embeddings_1_1_hnsw")
    db.connection.execute(
        "CREATE INDEX embeddings_1_1_hnsw ON spocdb.embeddings_1_1 "
        "USING hnsw (embedding vector_ip_ops) WITH (m = 2, ef_construction = 4)"
    )
    recall = recalls.measure(db.connection, target, 1)
    assert recall is not None
    assert 0 < recall < 1
    assert db.index.status()[0].recall == recall


def test_equal_images_do_not_lower_the_recall(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(300)
    add_images(db.connection, np.concatenate([rows, np.repeat(rows[:3], 50, axis=0)]))
    recall = db.index.build()
    assert recall is not None
    assert recall > 0.99


@pytest.mark.parametrize("n", [0, 1])
def test_there_is_nothing_to_measure_without_two_images(
    db: Database, add_images: AddImages, clustered: Clustered, n: int
) -> None:
    add_images(db.connection, clustered(1))
    db.connection.execute("DELETE FROM spocdb.images WHERE %s = 0", [n])
    assert db.index.build() is None
    assert db.index.status()[0].index == "embeddings_1_1_hnsw"


def test_what_an_interrupted_build_left_is_replaced(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    with connections.connect(db.url) as writer, connections.connect(db.url) as killed:
        writer.autocommit = False
        writer.execute("DELETE FROM spocdb.embeddings_1_1 WHERE false")  # the build waits for it
        killed.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            indexes.build(killed, collections.get(killed, "photos"), 1)
    left = db.connection.execute(VALID).fetchall()
    assert left == [("embeddings_1_1_hnsw_new", False)]
    assert db.index.status()[0].index is None
    assert db.index.build() == 1
    assert db.connection.execute(VALID).fetchall() == [("embeddings_1_1_hnsw", True)]


ASKING = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
AND query LIKE 'SELECT pg_try_advisory_lock%'
"""


def test_two_builds_at_once_hold_up_no_search(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    wait_for_lock: WaitForLock,
    wait_until: WaitUntil,
) -> None:
    rows = clustered(300)
    target = add_images(db.connection, rows)

    def build() -> None:
        with connections.connect(db.url) as connection:
            indexes.build(connection, target, 1)

    with connections.connect(db.url) as writer, ThreadPoolExecutor(2) as pool:
        writer.autocommit = False
        writer.execute("DELETE FROM spocdb.embeddings_1_1 WHERE false")
        running = [pool.submit(build)]
        wait_for_lock(db.connection)  # the first build waits for the writer
        running.append(pool.submit(build))
        # The second polls for the lock, and is in no queue for it.
        wait_until(lambda: db.connection.execute(ASKING).fetchall())
        db.connection.execute("SET lock_timeout = '2s'")
        query = str(rows[0].tolist())
        try:
            assert len(db.connection.execute(SEARCH, [query]).fetchall()) == 5
        finally:
            writer.commit()
        for build_ in running:
            build_.result()
    assert db.connection.execute(VALID).fetchall() == [("embeddings_1_1_hnsw", True)]


def test_a_build_that_is_done_and_a_search_do_not_deadlock(
    db: Database, add_images: AddImages, clustered: Clustered, wait_for_lock: WaitForLock
) -> None:
    rows = clustered(300)
    target = add_images(db.connection, rows)
    db.index.build()

    def build() -> None:
        with connections.connect(db.url) as connection:
            indexes.build(connection, target, 1)

    def search() -> int:
        with connections.connect(db.url) as connection:
            return len(connection.execute(SEARCH, [str(rows[0].tolist())]).fetchall())

    with (
        connections.connect(db.url) as ingest,
        connections.connect(db.url) as locker,
        ThreadPoolExecutor(2) as pool,
    ):
        ingest.autocommit = locker.autocommit = False
        ingest.execute("SELECT FROM spocdb.collections FOR SHARE")
        building = pool.submit(build)
        wait_for_lock(db.connection)  # built, and waiting for the running batch
        # Blocks both between their first lock and their second.
        locker.execute("LOCK TABLE spocdb.embeddings_1_1 IN ACCESS EXCLUSIVE MODE")
        ingest.commit()
        wait_for_lock(db.connection)
        searching = pool.submit(search)
        wait_for_lock(db.connection, 2)
        locker.commit()
        building.result()
        assert searching.result() == 5


def test_a_build_refreshes_the_view_of_what_became_active_meanwhile(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(300))
    db.pca.activate(number := db.pca.fit(dim=8))
    # As seen by a program that read the collection before.
    indexes.build(db.connection, target, number, "hnsw-halfvec")
    row = db.connection.execute(
        SQL("SELECT pg_typeof(embedding)::text FROM spocdb.photos LIMIT 1")
    ).fetchone()
    assert row == ("halfvec",)
