"""Ingests by a real Ray cluster of two nodes: as a plain one, whatever is killed."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.fixtures.archived import shard
from tests.fixtures.opened import Database
from tests.fixtures.program import Finished, Run, Start
from tests.fixtures.ray_nodes import RayNodes
from tests.fixtures.waiting import WaitUntil

pytestmark = pytest.mark.slow

Make = Callable[..., Path]
Recipe = dict[str, Any]

COUNTS = ("n_seen", "n_new", "n_reused", "n_unchanged", "n_failed", "left_out")
EXTRACTOR = ("--extractor", "mini", "--size", "64")
DOUBLED = """
SELECT path FROM spocdb.photos GROUP BY path HAVING count(*) <> 1 OR count(embedding) <> 1
"""
ROWS = """
SELECT i.path, i.sha256, i.version, i.metadata, t.sha256 IS NOT NULL AS has_thumbnail
FROM spocdb.images i LEFT JOIN spocdb.thumbnails t USING (sha256) ORDER BY i.path
"""
FAILURES = "SELECT path, reason, message FROM spocdb.failures ORDER BY path"
RUNS = "SELECT status FROM spocdb.runs ORDER BY id"


def asked(db: Database, statement: str) -> list[Any]:
    return db.connection.execute(statement).fetchall()


def counts(printed: str) -> dict[str, Any]:
    told = json.loads(printed)
    return {name: told[name] for name in COUNTS}


def read(file: Path) -> str:
    """Return the text of a file, "" if it is gone meanwhile."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def n_stored(db: Database) -> int:
    ((n,),) = asked(db, "SELECT count(*) FROM spocdb.images")
    return int(n)


@pytest.fixture
def sources(make_photos: Make, tmp_path: Path) -> list[Path]:
    """Return a folder with a damaged file and two that are left out, and three shards."""
    files = make_photos(300)
    (files / "bad.jpg").write_bytes(b"no image")
    (files / "notes.txt").write_bytes(b"no image")
    broken = shard(tmp_path / "broken.tar", make_photos(4, "of-broken", seed=9))
    broken.write_bytes(broken.read_bytes()[:-20_000])
    made = (shard(tmp_path / f"s-{n}.tar", make_photos(20, f"of-{n}", seed=n + 1)) for n in (0, 1))
    return [files, broken, *made]


def test_an_ingest_by_two_nodes_stores_and_counts_what_a_plain_one_does(
    ray_nodes: RayNodes,
    db: Database,
    other: Database,
    sources: list[Path],
    spocdb_process: Run,
    environment: dict[str, str],
) -> None:
    metadata = sources[0] / "metadata.csv"
    metadata.write_text("path,kind\n0001.jpg,shoe\n")

    def ingested(into: Database, *options: str) -> Finished:
        url = make_conninfo(into.url, password="hunter2")
        return spocdb_process(
            *("ingest", *sources, *EXTRACTOR, *options, "--exif", "--metadata", metadata, "--json"),
            env=environment | {"SPOCDB_DATABASE_URL": url},
        )

    said = [ingested(other), ingested(db, "--ray", ray_nodes.address)]
    assert [ran.returncode for ran in said] == [3, 3], said[1].stderr
    plain, distributed = (counts(ran.stdout) for ran in said)
    assert distributed == plain
    assert n_stored(db) > 340
    for statement in (ROWS, FAILURES, RUNS):
        assert asked(db, statement) == asked(other, statement)
    assert asked(db, DOUBLED) == []
    assert said[1].stderr.splitlines()[-1] == said[0].stderr.splitlines()[-1]
    # Ray's logs, which its dashboard shows, do not have the password.
    logs = [file.read_bytes() for file in ray_nodes.folder.glob("session_2*/logs/**/*.*")]
    assert logs and not any(b"hunter2" in text for text in logs)
    again = spocdb_process("ingest", *sources, "--ray", ray_nodes.address, "--json")
    assert counts(again.stdout)["n_unchanged"] == n_stored(db)


@pytest.fixture
def ingest(
    ray_nodes: RayNodes, db: Database, start_spocdb: Start, sources: list[Path]
) -> Iterator[Callable[[], Any]]:
    """Return a function that starts an ingest by the cluster, in small batches."""

    def start() -> Any:
        return start_spocdb(
            *("ingest", *sources, *EXTRACTOR, "--batch-size=1", "--json"),
            *("--ray", ray_nodes.address),
            SPOCDB_DATABASE_URL=db.url,
        )

    yield start


def all_is_there(db: Database, other: Database, sources: list[Path], recipe: Recipe) -> None:
    other.ingest(*sources, **recipe)
    assert asked(db, "SELECT path, sha256 FROM spocdb.images ORDER BY path") == asked(
        other, "SELECT path, sha256 FROM spocdb.images ORDER BY path"
    )
    assert asked(db, FAILURES) == asked(other, FAILURES)
    assert asked(db, DOUBLED) == []


def test_what_a_killed_node_had_is_stored_by_the_other(
    ray_nodes: RayNodes,
    db: Database,
    other: Database,
    ingest: Callable[[], Any],
    sources: list[Path],
    recipe: Recipe,
    wait_until: WaitUntil,
) -> None:
    process = ingest()
    wait_until(lambda: n_stored(db) > 5, process)
    ray_nodes.kill_second()
    printed, said = process.communicate(timeout=600)
    assert process.returncode == 3, said
    assert "lost a process on" in said and "Traceback" not in said
    all_is_there(db, other, sources, recipe)
    told = counts(printed)
    assert told["n_new"] + told["n_unchanged"] == n_stored(db)
    assert told["n_failed"] == 2


def test_an_ingest_that_is_killed_leaves_no_actor_and_is_completed_by_the_next(
    db: Database,
    other: Database,
    ingest: Callable[[], Any],
    sources: list[Path],
    recipe: Recipe,
    wait_until: WaitUntil,
) -> None:
    process = ingest()
    wait_until(lambda: n_stored(db) > 5, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    connected = "SELECT FROM pg_stat_activity WHERE application_name = 'spocdb' AND datname = %s"
    name = db.connection.info.dbname
    # The test's own connections stay.
    n_own = 2
    wait_until(lambda: len(db.connection.execute(connected, [name]).fetchall()) <= n_own)
    left = n_stored(db)
    assert 0 < left < 340
    again = ingest()
    _, said = again.communicate(timeout=600)
    assert again.returncode == 3, said
    all_is_there(db, other, sources, recipe)
    assert asked(db, RUNS) == [("interrupted",), ("finished",)]


def test_an_interrupted_ingest_says_so(
    db: Database, ingest: Callable[[], Any], wait_until: WaitUntil
) -> None:
    process = ingest()
    wait_until(lambda: n_stored(db) > 5, process)
    # No command line shows the address of the database: Ray shows them to all of a cluster.
    name = db.connection.info.dbname
    shown = [read(file) for file in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(line.startswith("ray::Actor") for line in shown)
    assert not [line for line in shown if name in line and not line.startswith("postgres")]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted; what was written stays" in said and "Traceback" not in said
    assert asked(db, RUNS) == [("interrupted",)]
