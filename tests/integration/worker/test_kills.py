"""Workers as real processes: killed, stopped, woken, and during a restart of the server."""

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import embedded, schema
from spocdb.settings import from_environment
from tests.fixtures.forking import Forked
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitUntil
from tests.integration.worker.products import WORKING, attach, counts, coverage, fill, logged

pytestmark = pytest.mark.slow


Make = Callable[..., Path]
Recipe = dict[str, Any]

N_PHOTOS = 120


@pytest.fixture
def start(start_spocdb: Start) -> Start:
    """Return a function that starts `spocdb worker` with short leases and polls."""
    patience = ("--visibility=2", "--poll=0.5", "--batch-size=1")

    def start(url: str, *options: str) -> Forked:
        return start_spocdb("worker", *patience, *options, SPOCDB_DATABASE_URL=url)

    return start


def all_there_once(db: Database, n_rows: int) -> None:
    """Check that each row of the table has exactly one image and one embedding."""
    assert counts(db) == (n_rows, n_rows, 0, 0, 0)
    rows = db.connection.execute(
        "SELECT p.id, count(s.id) FROM products p LEFT JOIN spocdb.products s USING (id)"
        " GROUP BY p.id HAVING count(s.id) <> 1"
    ).fetchall()
    assert rows == []
    ((n_images,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    assert n_images == n_rows


@pytest.mark.slow
def test_workers_that_are_killed_lose_and_double_nothing(
    db: Database, recipe: Recipe, make_photos: Make, start: Start, wait_until: WaitUntil
) -> None:
    folder, chance = make_photos(N_PHOTOS), random.Random(5)
    fill(db, folder)
    attach(db, folder, recipe)
    workers = [start(db.url) for _ in range(2)]
    for _ in range(3):
        n_before = coverage(db).embedded
        wait_until(lambda n=n_before: coverage(db).embedded > n)
        time.sleep(chance.uniform(0, 0.2))
        killed = workers.pop(chance.randrange(len(workers)))
        os.kill(killed.pid, signal.SIGKILL)
        workers.append(start(db.url))
        # The application changes rows meanwhile.
        db.connection.execute(
            "DELETE FROM products WHERE id = (SELECT min(id) FROM products);"
            "UPDATE products SET photo = '0007.jpg' WHERE id % 10 = 3"
        )
    wait_until(lambda: counts(db)[2:4] == (0, 0))
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
        assert "Traceback" not in said
    all_there_once(db, N_PHOTOS - 3)
    ((n_wrong,),) = db.connection.execute(
        "SELECT count(*) FROM products p JOIN spocdb.products s USING (id)"
        " JOIN products q ON q.photo = p.photo JOIN spocdb.products t ON t.id = q.id"
        " WHERE s.sha256 <> t.sha256"
    )
    assert n_wrong == 0


@pytest.mark.slow
def test_a_stopped_worker_finishes_what_it_has(
    db: Database, recipe: Recipe, make_photos: Make, start: Start, wait_until: WaitUntil
) -> None:
    folder = make_photos(N_PHOTOS)
    fill(db, folder)
    attach(db, folder, recipe)
    worker = start(db.url, "--visibility=600")
    wait_until(lambda: coverage(db).embedded > 0)
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    _, embedded_, pending, leased, _ = counts(db)
    assert (embedded_ + pending, leased) == (N_PHOTOS, 0)


# Sessions that have been idle for longer than between two statements of a busy worker.
IDLE = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'spocdb'
AND state = 'idle' AND state_change < clock_timestamp() - interval '200 ms'
"""


@pytest.mark.slow
def test_a_waiting_worker_is_woken(
    db: Database, shop: Path, start: Start, wait_until: WaitUntil
) -> None:
    worker = start(db.url, "--poll=3600")
    wait_until(lambda: coverage(db).embedded == 6)
    wait_until(lambda: db.connection.execute(IDLE).rowcount)  # waits for a notification
    db.connection.execute("INSERT INTO products (photo) VALUES ('0000.jpg')")
    # The notification wakes it: its next poll is an hour later.
    wait_until(lambda: coverage(db).embedded == 7)
    worker.send_signal(signal.SIGINT)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert logged(said) == [WORKING, "products: 6 new", "products: 1 known"]


@pytest.mark.slow
def test_workers_outlive_a_restart_of_the_server(
    environment: dict[str, str],
    recipe: Recipe,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    folder = make_photos(N_PHOTOS)
    with tempfile.TemporaryDirectory(prefix="spocdb-own-") as data:
        try:
            url = embedded.start(Path(data))
            schema.upgrade(url)
            with Database(from_environment(url, environment)) as db:
                fill(db, folder)
                attach(db, folder, recipe)
                workers = [start(url) for _ in range(2)]
                wait_until(lambda: coverage(db).embedded > 0)
            _stop(Path(data), wait_until)
            for worker in workers:
                assert any("trying again in 1 s" in line for line in worker.stderr)
            embedded.start(Path(data))
            with Database(from_environment(url, environment)) as db:
                assert coverage(db).embedded < N_PHOTOS
                wait_until(lambda: counts(db)[2:4] == (0, 0))
                all_there_once(db, N_PHOTOS)
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
                _, said = worker.communicate(timeout=60)
                assert worker.returncode == 0, said
        finally:
            embedded.stop(Path(data))


def _stop(data: Path, wait_until: WaitUntil) -> None:
    about = data / "pg" / "postmaster.pid"
    os.kill(int(about.read_text().split()[0]), signal.SIGINT)
    wait_until(lambda: not about.exists())
