"""Finding duplicates while others do, while images come and go, and after a kill."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from spocdb.api import Database as Api
from spocdb.db import connections, duplicate_groups
from spocdb.db.duplicate_decisions import Verdict
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitForLock, WaitUntil

AddImages = Callable[..., Any]

# What is left to do, and what was done.
COUNTS = "SELECT (SELECT count(*) FROM spocdb.{}), (SELECT count(*) FROM spocdb.{})"
COMPARING = COUNTS.format("duplicate_changes", "duplicate_pairs")
GROUPING = COUNTS.format("duplicate_ungrouped", "duplicate_members")
MEMBERS = "SELECT image_id, keeper_id FROM spocdb.duplicate_members ORDER BY 1"
DISTANCE = 0.2


@pytest.fixture
def rows(clustered: Callable[..., Float32Array]) -> Float32Array:
    return clustered(1000, 64)


@pytest.fixture
def crowd(db: Database, add_images: AddImages, rows: Float32Array) -> Database:
    """Return a database of 1,000 images, which are several batches."""
    add_images(db.connection, rows)
    return db


def anew(db: Database, distance: float | None = DISTANCE) -> list[Any]:
    """Return the groups that are found from the beginning."""
    db.connection.execute("DELETE FROM spocdb.duplicate_searches")
    db.duplicates.find(distance=distance)
    return db.connection.execute(MEMBERS).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "progress"),
    [(1000, COMPARING), (5000, COMPARING), (5000, GROUPING)],
    ids=["comparing by the index", "comparing by products", "grouping"],
)
def test_a_find_that_is_killed_goes_on_where_it_was(
    db: Database,
    add_images: AddImages,
    clustered: Callable[..., Float32Array],
    start_spocdb: Start,
    wait_until: WaitUntil,
    n: int,
    progress: str,
) -> None:
    add_images(db.connection, clustered(n, 64))

    def is_half_done() -> bool:
        left, done = db.connection.execute(progress).fetchone() or (0, 0)
        return bool(left and done)

    process = start_spocdb(
        *("duplicates", "find", "--distance", DISTANCE), SPOCDB_DATABASE_URL=db.url
    )
    wait_until(is_half_done, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert is_half_done()
    # Without options it goes on by what was asked for.
    found = db.duplicates.find()
    assert (found.distance, found.n_due) == (DISTANCE, 0)
    members = db.connection.execute(MEMBERS).fetchall()
    assert members == anew(db) != []


@pytest.mark.slow
def test_two_finds_at_once_take_turns(crowd: Database) -> None:
    def find() -> None:
        Api(crowd.engine).duplicates.find(distance=DISTANCE)

    threads = [threading.Thread(target=find) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    members = crowd.connection.execute(MEMBERS).fetchall()
    assert members == anew(crowd) != []


def test_two_finds_at_two_distances_leave_the_groups_of_one(crowd: Database) -> None:
    distances = (DISTANCE, DISTANCE / 2)
    threads = [
        threading.Thread(target=Api(crowd.engine).duplicates.find, kwargs={"distance": distance})
        for distance in distances
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = crowd.duplicates.summary()
    assert (found.distance in distances, found.n_due) == (True, 0)
    members = crowd.connection.execute(MEMBERS).fetchall()
    assert members == anew(crowd, found.distance) != []


@pytest.mark.slow
def test_decisions_while_others_find(crowd: Database) -> None:
    decided: list[tuple[int, int, Verdict]] = []

    def decide(done: int, due: int) -> None:
        # Two of the first batch, and two that are not compared yet.
        n = len(decided) + 1
        wanted: list[tuple[int, int, Verdict]] = [
            (n, n + 1, "different"),
            (900 + n, 901 + n, "same"),
        ]
        for one, other, verdict in wanted:
            Api(crowd.engine).duplicates.decide(one, other, verdict)
            decided.append((one, other, verdict))

    crowd.duplicates.find(distance=DISTANCE, on_done=decide)
    assert len(decided) >= 6 and len(crowd.duplicates.decisions()) == len(decided)
    members = crowd.connection.execute(MEMBERS).fetchall()
    assert members == anew(crowd) != []


def test_a_take_over_that_is_killed_is_whole_pages(
    crowd: Database,
    add_images: AddImages,
    rows: Float32Array,
    start_spocdb: Start,
    wait_for_lock: WaitForLock,
) -> None:
    add_images(crowd.connection, rows, first=10_000)
    crowd.connection.execute(
        "UPDATE spocdb.images SET metadata = '{\"place\": \"Ulm\"}' WHERE path >= '/photos/010000'"
    )
    crowd.duplicates.find()
    taken = "SELECT count(*) FROM spocdb.images WHERE taken_over <> '{}'"

    def n_taken() -> int:
        return int((crowd.connection.execute(taken).fetchone() or (0,))[0])

    keeper = [group.keeper.id for group in crowd.duplicates.groups()][duplicate_groups.PAGE]
    # The second page waits for a keeper that somebody else holds.
    with connections.connect(crowd.url) as holding, holding.transaction():
        holding.execute("SELECT FROM spocdb.images WHERE id = %s FOR UPDATE", [keeper])
        process = start_spocdb("duplicates", "take-over", SPOCDB_DATABASE_URL=crowd.url)
        wait_for_lock(crowd.connection)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert n_taken() == duplicate_groups.PAGE
    offers = crowd.duplicates.take_over()
    assert len(offers) == 1000 - n_taken() + len(offers) == 1000 - duplicate_groups.PAGE
    assert not crowd.duplicates.take_over()


@pytest.mark.slow
def test_images_that_come_and_go_meanwhile(
    crowd: Database, add_images: AddImages, rows: Float32Array
) -> None:
    noted: list[int] = []

    def change(done: int, due: int) -> None:
        # After each batch: some images go, and others of the same bytes come.
        noted.append(done)
        if len(noted) <= 3:
            ids = crowd.connection.execute(
                "SELECT id FROM spocdb.images ORDER BY id OFFSET %s LIMIT 40", [100 * len(noted)]
            ).fetchall()
            crowd.delete(*(id for (id,) in ids))
            again = rows[100 * len(noted) : 100 * len(noted) + 20]
            add_images(crowd.connection, again, first=10_000 + 100 * len(noted))

    crowd.duplicates.find(distance=DISTANCE, on_done=change)
    assert len(noted) > 3
    members = crowd.connection.execute(MEMBERS).fetchall()
    assert members == anew(crowd) != []


@pytest.mark.slow
def test_an_application_that_deletes_waits_for_nobody(crowd: Database) -> None:
    """Its transaction is open while others find duplicates, and neither waits or fails."""
    with (
        connections.connect(crowd.url) as application,
        application.transaction(),
    ):
        application.execute("SET LOCAL lock_timeout = '5s'")
        application.execute("DELETE FROM spocdb.images WHERE id <= 50")
        found = crowd.duplicates.find(distance=DISTANCE)
        assert found.n_images > 0
        application.execute("DELETE FROM spocdb.images WHERE id BETWEEN 51 AND 100")
        crowd.duplicates.find()
        application.execute("DELETE FROM spocdb.images WHERE id BETWEEN 101 AND 150")
    crowd.duplicates.find()
    members = crowd.connection.execute(MEMBERS).fetchall()
    assert members == anew(crowd) != []


def test_images_under_way_are_compared(
    crowd: Database, add_images: AddImages, rows: Float32Array, wait_for_lock: WaitForLock
) -> None:
    """An ingest began to write before the first find: it waits for it, or sees the new images."""
    with connections.connect(crowd.url) as ingest, ingest.transaction():
        add_images(ingest, rows[:10], first=5000)
        thread = threading.Thread(target=crowd.duplicates.find)
        thread.start()
        with crowd.engine.connection() as looking:
            wait_for_lock(looking)
    thread.join()
    assert crowd.duplicates.summary().n_groups == 10
