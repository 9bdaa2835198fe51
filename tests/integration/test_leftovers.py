"""Objects that killed programs leave: doctor finds them, the next command drops them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from spocdb import projections as fitting
from spocdb.db import building, collections, connections, doctor, embeddings, indexes, scratch
from spocdb.db.collections import Collection
from spocdb.db.leftovers import drop_left_indexes
from spocdb.errors import ConfigError
from spocdb.evaluation.benchmark import Benchmark
from spocdb.evaluation.evaluate import evaluate
from spocdb.evaluation.methods import PLAIN
from spocdb.evaluation.options import Options
from spocdb.records import Float32Array, Recipe
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
WaitForLock = Callable[..., None]

INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname LIKE 'embeddings%hnsw%' ORDER BY 1
"""


def found(db: Database) -> list[tuple[str, bool]]:
    return db.connection.execute(INDEXES).fetchall()


def warnings(db: Database) -> list[str]:
    return [f.what for f in doctor.examine(db.connection) if "left the" in f.what]


KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def kill_a_build(db: Database, wait_for_lock: WaitForLock) -> None:
    """Kill the session that builds an index, which leaves an invalid index as a crash does."""
    target = collections.get(db.connection, "photos")
    with (
        connections.connect(db.url) as writer,
        connections.connect(db.url) as killed,
        ThreadPoolExecutor(1) as pool,
    ):
        writer.autocommit = False
        # The build waits for this transaction, with its index made and invalid.
        writer.execute("DELETE FROM spocdb.embeddings_1_1 WHERE false")
        building = pool.submit(indexes.build, killed, target, 1)
        wait_for_lock(db.connection)
        db.connection.execute(KILL)
        with pytest.raises(psycopg.OperationalError):
            building.result()


@pytest.fixture
def built(db: Database, add_images: AddImages, clustered: Clustered) -> Database:
    """Return a database of 60 images, indexed, with projection 2 fitted."""
    add_images(db.connection, clustered(60))
    db.index.build()
    assert db.pca.fit(dim=8) == 2
    return db


VALID = ("embeddings_1_1_hnsw", True)
LEFT = ("embeddings_1_1_hnsw_new", False)


def drop_by_build(db: Database, said: list[str]) -> None:
    db.index.build()


def drop_by_activation(db: Database, said: list[str]) -> None:
    db.pca.activate(2)
    assert said[0] == "dropped embeddings_1_1_hnsw_new, a leftover of an interrupted build"


def drop_by_rollback(db: Database, said: list[str]) -> None:
    db.pca.activate(1)


def drop_by_ingest(db: Database, said: list[str]) -> None:
    target = collections.get(db.connection, "photos")
    said.clear()
    fitting.settle(db.connection, db.engine.connect, target)
    assert said == ["dropped embeddings_1_1_hnsw_new, a leftover of an interrupted build"]


def drop_by_doctor(db: Database, said: list[str]) -> None:
    assert doctor.fix(db.connection) == ["dropped the index embeddings_1_1_hnsw_new"]


@pytest.mark.parametrize(
    "drop",
    [drop_by_build, drop_by_activation, drop_by_rollback, drop_by_ingest, drop_by_doctor],
)
def test_what_a_killed_build_left_goes_with_the_next_command(
    built: Database,
    drop: Callable[[Database, list[str]], None],
    wait_for_lock: WaitForLock,
    said: list[str],
) -> None:
    kill_a_build(built, wait_for_lock)
    assert found(built) == [VALID, LEFT]
    assert warnings(built) == ["an interrupted build left the index embeddings_1_1_hnsw_new"]
    said.clear()
    drop(built, said)
    assert LEFT not in found(built)
    assert VALID in found(built)
    assert all(valid for _, valid in found(built))
    assert warnings(built) == []


def test_what_a_killed_build_of_another_table_left_goes_too(built: Database) -> None:
    built.pca.activate(2)
    built.connection.execute("ALTER INDEX spocdb.embeddings_1_1_hnsw RENAME TO x_hnsw_new")
    built.connection.execute("ALTER INDEX spocdb.x_hnsw_new RENAME TO embeddings_1_1_hnsw_new")
    built.index.build()  # of projection 2
    assert found(built) == [("embeddings_1_2_hnsw", True)]


def test_a_build_under_way_is_nobody_s_leftover(built: Database) -> None:
    with connections.connect(built.url) as other, building.alone(other, "embeddings_1_1"):
        built.connection.execute("ALTER INDEX spocdb.embeddings_1_1_hnsw RENAME TO a")
        built.connection.execute("ALTER INDEX spocdb.a RENAME TO embeddings_1_1_hnsw_new")
        assert warnings(built) == []
        assert doctor.fix(built.connection) == []
        assert drop_left_indexes(built.connection) == []
    assert drop_left_indexes(built.connection) == ["embeddings_1_1_hnsw_new"]


def test_what_is_in_use_is_left_for_the_next_time(built: Database) -> None:
    built.connection.execute("ALTER INDEX spocdb.embeddings_1_1_hnsw RENAME TO a")
    built.connection.execute("ALTER INDEX spocdb.a RENAME TO embeddings_1_1_hnsw_new")
    before = built.connection.execute("SHOW lock_timeout").fetchone()
    with connections.connect(built.url) as reader:
        reader.autocommit = False
        reader.execute("SELECT FROM spocdb.embeddings_1_1")
        assert drop_left_indexes(built.connection) == []
    assert built.connection.execute("SHOW lock_timeout").fetchone() == before
    assert drop_left_indexes(built.connection) == ["embeddings_1_1_hnsw_new"]
    assert found(built) == []


@pytest.fixture
def left_by_training(db: Database, made_up: Recipe) -> Database:
    """Return a database with the collections that a killed training left."""
    with connections.connect(db.url) as killed:
        recipe = replace(made_up, weights="training-x")
        collections.create(killed, "training-x", recipe, 32)
    return db


def test_a_collection_that_a_killed_training_left_is_found_and_dropped(
    left_by_training: Database, made_up: Recipe
) -> None:
    db = left_by_training
    collections.create(db.connection, "mine", made_up, 32)
    assert warnings(db) == ["a killed command left the collection training-x"]
    with connections.connect(db.url) as training, scratch.marked(training, "training-x"):
        assert warnings(db) == [], "it is at work"
        assert doctor.fix(db.connection) == []
        other = scratch.opened(db.connection, "training-x", made_up, 32)
        with pytest.raises(ConfigError, match="another program uses training-x: run the same"):
            other.__enter__()
    assert doctor.fix(db.connection) == ["dropped the collection training-x"]
    assert [c.name for c in db.collections()] == ["mine"]
    assert [e.recipe.weights for e in db.extractors()] == [made_up.weights]


def test_what_a_killed_evaluation_left_goes_with_the_next_one(
    db: Database, add_images: AddImages, clustered: Clustered, said: list[str]
) -> None:
    add_images(db.connection, clustered(60), "eval-0123abcd-gallery")
    add_images(db.connection, clustered(60, seed=1), "eval-0123abcd-train")
    add_images(db.connection, clustered(60, seed=2), "eval-mine")
    left = db.pca.fit("eval-0123abcd-train", dim=8)
    kept = db.pca.fit("eval-mine", dim=8)
    db.pca.activate(left, "eval-0123abcd-gallery")
    assert len(warnings(db)) == 2
    with connections.connect(db.url) as other, scratch.marked(other, "eval-0123abcd"):
        assert warnings(db) == [], "it is at work"

    said.clear()
    nothing = Benchmark("nothing", {}, {"": []}, ("mAP",))
    with pytest.raises(ConfigError, match="no query is left"):
        evaluate(db, nothing, [PLAIN], Options())
    assert said == [
        f"dropped eval-0123abcd-{role}, which an interrupted command had left"
        for role in ("gallery", "train")
    ]
    assert [c.name for c in db.collections()] == ["eval-mine"]
    numbers = {p.id for p in db.pca.list()}
    assert (left in numbers, kept in numbers) == (False, True)


def test_an_activation_that_never_ended_is_named(built: Database) -> None:
    target = collections.get(built.connection, "photos")
    embeddings.add(built.connection, target, 2)
    (finding,) = [f for f in doctor.examine(built.connection) if "only some" in f.what]
    assert finding.what == "photos has embeddings of only some images by projection 2"
    assert finding.advice.startswith("run `db.pca.activate(2, collection='photos')`")
    built.pca.activate(2)
    assert not [f for f in doctor.examine(built.connection) if "only some" in f.what]


def test_the_command_says_what_it_dropped(left_by_training: Database, app: Any) -> None:
    arguments = ["db", "doctor", "--db", left_by_training.url]
    looked = CliRunner().invoke(app, arguments)
    assert (
        "warning  a killed command left the collection training-x: run `spocdb db doctor --fix"
        in (looked.stdout)
    )
    fixed = CliRunner().invoke(app, [*arguments, "--fix"])
    assert fixed.stdout.startswith("fixed    dropped the collection training-x\n")
    assert "left the" not in fixed.stdout
