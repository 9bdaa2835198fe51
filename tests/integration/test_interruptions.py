"""After any interruption the same command continues; no row is lost or stored twice."""

import os
import random
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from spocdb.db import embedded, schema
from spocdb.features.backbones import find
from spocdb.settings import from_environment
from tests.fixtures.forking import Forked
from tests.fixtures.opened import Database
from tests.fixtures.program import Start, StartProcess
from tests.fixtures.waiting import WaitUntil

Make = Callable[..., Path]
Recipe = dict[str, Any]

pytestmark = pytest.mark.slow

N_PHOTOS = 150
MOST_KILLS = 3
INTERRUPTED = 130


@pytest.fixture
def start(start_spocdb: Start, recipe: Recipe) -> Start:
    """Return a function that starts `spocdb ingest`."""
    options = [f"--{name}={value}" for name, value in recipe.items()]

    def start(url: str, folder: Path) -> Forked:
        return start_spocdb("ingest", folder, "--batch-size=1", *options, SPOCDB_DATABASE_URL=url)

    return start


def count_images(db: Database) -> int:
    ((n,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    return int(n)


def statuses(db: Database) -> list[str]:
    return [row[0] for row in db.connection.execute("SELECT status FROM spocdb.runs ORDER BY id")]


def same_as_undisturbed(db: Database, folder: Path, recipe: Recipe) -> None:
    """Compare all rows with those of an uninterrupted ingest that reuses no descriptor."""
    # Another sigma is another extractor, whose descriptors are all computed.
    sigma = find(recipe["extractor"]).sigma
    assert sigma
    db.ingest(folder, collection="undisturbed", sigma=sigma + 1e-9, **recipe)
    statement = 'SELECT path, sha256, embedding::real[] FROM spocdb."{}" ORDER BY path'
    found, expected = (
        db.connection.execute(statement.format(name)).fetchall()
        for name in ("photos", "undisturbed")
    )
    assert len(found) == len(list(folder.iterdir()))
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    gap = np.array([row[2] for row in found]) - np.array([row[2] for row in expected])
    assert np.abs(gap).max() < 1e-3
    tables = db.connection.execute(
        "SELECT spocdb.embedding_table(collection_id, projection_id), collection_id"
        " FROM spocdb.embedding_tables"
    ).fetchall()
    for table, collection in tables:
        ((n_missing, n_doubled),) = db.connection.execute(
            f"SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM ("
            f" SELECT i.id, count(e.image_id) AS n FROM spocdb.images i"
            f" LEFT JOIN spocdb.{table} e ON e.image_id = i.id"
            f" WHERE i.collection_id = {collection} GROUP BY i.id) x"
        )
        assert (n_missing, n_doubled) == (0, 0), table


def test_killed_at_random_moments_it_goes_on(
    db: Database, recipe: Recipe, make_photos: Make, start: Start, wait_until: WaitUntil
) -> None:
    folder, moments = make_photos(N_PHOTOS), random.Random(7)
    # The first process is killed while it starts.
    process = start(db.url, folder)
    time.sleep(moments.uniform(0, 3))
    process.kill()
    assert process.wait() in (-signal.SIGKILL, 0)
    n_kills, n_before = 0, count_images(db)
    while n_kills < MOST_KILLS:
        process = start(db.url, folder)
        wait_until(
            lambda n=n_before, process=process: count_images(db) > n or process.poll() is not None
        )
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        if process.wait() == 0:
            break
        n_kills += 1
        n_before = count_images(db)
    process = start(db.url, folder)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert f"{N_PHOTOS} images:" in said
    # The last run has marked the killed runs as interrupted.
    assert statuses(db)[-1] == "finished"
    assert statuses(db).count("interrupted") >= n_kills
    assert set(statuses(db)) <= {"finished", "interrupted"}
    same_as_undisturbed(db, folder, recipe)


def n_new(summary: str) -> int:
    """Return how many images the last line of an ingest calls new."""
    found = re.match(r"\d+ images: (\d+) new; ", summary)
    assert found, summary
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_keeps_what_was_written(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
    number: signal.Signals,
) -> None:
    folder = make_photos(N_PHOTOS)
    process = start(db.url, folder)
    wait_until(lambda: count_images(db) > 0, process)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, said
    assert out == ""
    summary, advice = said.splitlines()
    assert advice == "interrupted; what was written stays; run the same command to continue"
    n_written = count_images(db)
    assert 0 < n_written < N_PHOTOS and n_new(summary) == n_written
    assert statuses(db) == ["interrupted"]
    assert db.ingest(folder, auto_pca=0).n_unchanged == n_written
    assert count_images(db) == N_PHOTOS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_as_quiet(
    db: Database, make_photos: Make, start: Start, wait_until: WaitUntil, number: signal.Signals
) -> None:
    ((n_before,),) = db.connection.execute(SESSIONS)
    process = start(db.url, make_photos(1))

    def is_connected() -> bool:
        return bool(db.connection.execute(SESSIONS).fetchall()[0][0] > n_before)

    wait_until(is_connected, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    # The ingest of one image may end before the signal arrives.
    assert process.returncode in (INTERRUPTED, 0)
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2


SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'spocdb'
"""


@pytest.fixture
def own_server() -> Iterator[Path]:
    """Return the data folder of an embedded server of the test's own, which it may stop."""
    with tempfile.TemporaryDirectory(prefix="spocdb-own-") as folder:
        try:
            schema.upgrade(embedded.start(Path(folder)))
            yield Path(folder)
        finally:
            embedded.stop(Path(folder))


def test_a_server_that_goes_away_is_one_line_and_later_the_same_command_completes(
    own_server: Path,
    environment: dict[str, str],
    recipe: Recipe,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    folder, url = make_photos(N_PHOTOS), embedded.start(own_server)
    with Database(from_environment(url, environment)) as db:
        process = start(url, folder)
        wait_until(lambda: count_images(db) > 0, process)
    stop_at_once(own_server, wait_until)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    summary, line = said.splitlines()
    assert line.startswith("spocdb: lost the database, run the same command again: ")
    with Database(from_environment(embedded.start(own_server), environment)) as db:
        n_written = count_images(db)
        assert 0 < n_written < N_PHOTOS and n_new(summary) == n_written
        assert db.ingest(folder, auto_pca=0).n_unchanged == n_written
        assert statuses(db) == ["interrupted", "finished"]
        same_as_undisturbed(db, folder, recipe)


def stop_at_once(data_dir: Path, wait_until: WaitUntil) -> None:
    """Stop the server as `pg_ctl stop -m fast` does: it ends the clients' sessions."""
    about = data_dir / "pg" / "postmaster.pid"
    os.kill(int(about.read_text().split()[0]), signal.SIGINT)
    wait_until(lambda: not about.exists())


def test_ctrl_c_in_the_terminal_that_started_the_server_leaves_the_server_alone(
    start_process: StartProcess, program: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="spocdb-own-") as folder:
        try:
            shell = ("/bin/sh", "-c", f'"{program}" db start && sleep 60')
            process = start_process(*shell, SPOCDB_DATA_DIR=folder)
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            # A terminal sends SIGINT to all processes in the foreground.
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            embedded.stop(Path(folder))
