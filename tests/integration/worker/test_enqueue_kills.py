"""Four workers on the queue of references: one is killed, nothing is lost and nothing doubled."""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from spocdb.db.attachments import Coverage
from tests.fixtures.archived import shard
from tests.fixtures.forking import Forked
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitUntil

pytestmark = pytest.mark.slow

Make = Callable[..., Path]
Recipe = dict[str, Any]

N_FILES, N_SHARDS, N_IN_SHARD = 60, 6, 20

DOUBLED = """
SELECT path FROM spocdb.photos GROUP BY path HAVING count(*) <> 1 OR count(embedding) <> 1
"""


@pytest.fixture
def start(start_spocdb: Start) -> Start:
    """Return a function that starts `spocdb worker` with short leases and polls."""

    def start(url: str, *options: str) -> Forked:
        patience = ("--visibility=2", "--poll=0.5", "--batch-size=1")
        return start_spocdb("worker", *patience, *options, SPOCDB_DATABASE_URL=url)

    return start


def coverage(db: Database) -> Coverage:
    (found,) = (c for c in db.tables.coverage("photos") if c.active)
    return found


def is_done(db: Database) -> bool:
    """Return whether nothing waits and nothing is leased, by one look at the queue.

    A lease that ends between two looks is in neither.
    """
    found = coverage(db)
    return found.pending + found.leased == 0


def stop(workers: list[Forked]) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
        assert "Traceback" not in said


def test_four_workers_one_killed_each_image_once(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    files = make_photos(N_FILES)
    (files / "bad.jpg").write_bytes(b"no image")
    shards = [
        shard(tmp_path / f"s-{n}.tar", make_photos(N_IN_SHARD, f"of-{n}", seed=n + 1))
        for n in range(N_SHARDS)
    ]
    db.enqueue(files, *shards, **recipe)
    workers = [start(db.url) for _ in range(4)]
    wait_until(lambda: coverage(db).embedded > 5)
    killed = workers.pop()
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: is_done(db))
    stop(workers)
    n_images = N_FILES + N_SHARDS * N_IN_SHARD
    assert coverage(db).embedded == n_images
    assert db.connection.execute(DOUBLED).fetchall() == []
    ((n_contents,),) = db.connection.execute("SELECT count(*) FROM spocdb.descriptors")
    assert n_contents == n_images
    assert [Path(failure.path).name for failure in db.failures()] == ["bad.jpg"]
    # An ingest of the same sources finds nothing to read.
    progress = db.ingest(files, *shards)
    assert (progress.n_unchanged, progress.n_new, progress.n_reused) == (n_images, 0, 0)


def test_the_lease_of_a_shard_is_extended_while_it_is_read(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    # One shard lasts for several leases.
    packed = shard(tmp_path / "s.tar", make_photos(400))
    db.enqueue(packed, **recipe | {"size": 256})
    workers = [start(db.url, "--visibility=3") for _ in range(2)]
    seen: list[tuple[str, datetime, int, int]] = []

    def is_read() -> bool:
        rows = db.connection.execute("SELECT lease::text, due_at, lost, attempts FROM spocdb.queue")
        seen.extend(row for row in rows if row[0])
        return bool(seen) and is_done(db)

    wait_until(is_read)
    stop(workers)
    assert len({lease for lease, *_ in seen}) == 1, "another worker took the shard"
    assert len({due_at for _, due_at, _, _ in seen}) > 1, "it was never extended"
    assert {(lost, attempts) for _, _, lost, attempts in seen} == {(0, 1)}
    assert coverage(db).embedded == 400


def test_a_stopped_worker_leaves_the_rest_of_its_shard_to_others(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    packed = shard(tmp_path / "s.tar", make_photos(600))
    db.enqueue(packed, **recipe)
    worker = start(db.url, "--visibility=600")
    wait_until(lambda: coverage(db).embedded > 0)
    stop([worker])
    left = coverage(db)
    assert 0 < left.embedded < 600
    assert (left.pending, left.leased) == (1, 0)
    another = start(db.url)
    wait_until(lambda: is_done(db))
    stop([another])
    assert coverage(db).embedded == 600
