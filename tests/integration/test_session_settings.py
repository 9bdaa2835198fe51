"""Settings that are raised for one step on a pooled connection are reset, also after errors."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.db import collections, scratch, sessions
from spocdb.errors import DatabaseError, DatabaseLost
from spocdb.records import Float32Array, Recipe, Refinement
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Make = Callable[..., Path]
AddImages = Callable[..., collections.Collection]
Clustered = Callable[..., Float32Array]

# An extension's settings exist once its library is loaded; only changed ones count.
SETTINGS = r"SELECT name, setting FROM pg_settings WHERE name !~ '\.' OR source = 'session'"
# The first build fails as with a small /dev/shm: parallel workers get no shared memory.
NO_ROOM = """
CREATE FUNCTION public.no_room() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {condition} THEN
        RAISE 'could not resize shared memory segment' USING ERRCODE = 'disk_full';
    END IF;
END $$;
CREATE EVENT TRIGGER no_room ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
    EXECUTE FUNCTION public.no_room();
"""
BUILDS_IN_PARALLEL = "current_setting('max_parallel_maintenance_workers') <> '0'"
HAS_ROOM_NOW = "current_setting('maintenance_work_mem') <> '64MB'"


def settings(db: Database) -> dict[str, str]:
    """Return the settings of the pool's only connection, and its process id."""
    with db.engine.connection() as connection:
        found = dict(connection.execute(SETTINGS).fetchall())
        return found | {"process": str(connection.info.backend_pid)}


@pytest.fixture
def made(
    url: str, environment: dict[str, str], add_images: AddImages, clustered: Clustered
) -> Iterator[Database]:
    """Return a database with a few images, whose connections have a low maintenance_work_mem."""
    little = make_conninfo(url, options="-c maintenance_work_mem=64MB")
    with Database(from_environment(little, environment), pool_size=1) as db:
        add_images(db.connection, clustered(60))
        yield db


@pytest.fixture
def pool_size() -> int:
    """Return 1, so that each look sees the same connection."""
    return 1


STEPS: dict[str, Callable[[Database], object]] = {
    "fit": lambda db: db.pca.fit(dim=8),
    "activate": lambda db: db.pca.activate(2),
    "index build": lambda db: db.index.build(),
    "halfvec": lambda db: db.index.build(kind="hnsw-halfvec"),
    "augment": lambda db: db.pca.augment(),
    "rollback": lambda db: db.pca.rollback(),
    "similar": lambda db: db.similar(1, 5),
    "filtered": lambda db: db.similar(1, 5, filter={"a": 1}),
    "exact": lambda db: db.similar(1, 5, exact=True),
    "refined": lambda db: db.similar(1, 5, refinement=Refinement(3, 3.0, 10)),
    "coverage": lambda db: db.tables.coverage(),
    "drop projection": lambda db: db.pca.drop(3, "photos"),
    "drop": lambda db: db.drop("photos"),
}


def test_no_step_leaves_a_setting_behind(made: Database) -> None:
    before = settings(made)
    for name, step in STEPS.items():
        step(made)
        assert settings(made) == before, name


def test_neither_an_ingest_nor_a_worker_leaves_a_setting_behind(
    db: Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(6)
    before = settings(db)
    db.ingest(folder, auto_pca=4, **recipe)
    assert settings(db) == before
    db.reembed("mini", size=96)
    assert settings(db) == before
    db.tables.work(once=True)
    assert settings(db) == before


def test_a_working_collection_leaves_no_setting_behind(
    made: Database, made_up: Recipe, clustered: Clustered
) -> None:
    before = settings(made)
    rows = clustered(20)
    with (
        made.engine.connection() as connection,
        scratch.opened(connection, "for-a-moment", made_up, 32) as collection,
    ):
        scratch.store(connection, collection, rows, ["a"] * 20, lambda id_, raw: raw)
    assert settings(made) == before


def test_a_build_without_parallel_workers_leaves_no_setting_behind(made: Database) -> None:
    made.connection.execute(NO_ROOM.format(condition=BUILDS_IN_PARALLEL))
    before = settings(made)
    made.index.build()
    assert settings(made) == before
    assert made.index.status()[0].index == "embeddings_1_1_hnsw"


@pytest.mark.parametrize("condition", ["true", HAS_ROOM_NOW])
def test_a_build_that_fails_leaves_no_setting_behind(made: Database, condition: str) -> None:
    made.connection.execute(NO_ROOM.format(condition=condition))
    before = settings(made)
    with pytest.raises(DatabaseError, match="could not resize shared memory"):
        made.index.build()
    assert settings(made) == before


def test_the_build_has_the_memory_that_it_was_meant_to_have(made: Database) -> None:
    made.connection.execute(NO_ROOM.format(condition="NOT " + HAS_ROOM_NOW))
    made.index.build()  # the trigger raises unless the memory is raised


def test_a_lost_connection_says_so_and_not_that_a_setting_could_not_be_taken_back(
    db: Database,
) -> None:
    connection = db.connection
    with (
        pytest.raises(psycopg.OperationalError, match="terminating connection"),
        sessions.raised(connection, work_mem="64MB"),
    ):
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_settings_in_a_transaction_that_fails_are_taken_back(db: Database) -> None:
    before = db.connection.execute(SETTINGS).fetchall()
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        db.connection.transaction(),
        sessions.raised(db.connection, work_mem="64MB"),
    ):
        db.connection.execute("SELECT 1 / 0")
    assert db.connection.execute(SETTINGS).fetchall() == before


def test_settings_that_could_not_be_taken_back_do_not_go_back_to_the_pool(made: Database) -> None:
    before = settings(made)
    with (
        pytest.raises(KeyboardInterrupt),
        made.engine.connection() as connection,
        sessions.raised(connection, work_mem="64MB"),
    ):
        # As a step that is interrupted before it resets the setting.
        connection.execute("BEGIN; SET maintenance_work_mem = '1GB'; COMMIT")
        raise KeyboardInterrupt
    assert settings(made) == before


def test_an_index_build_that_loses_its_connection_says_so(made: Database) -> None:
    made.connection.execute(NO_ROOM.format(condition="pg_terminate_backend(pg_backend_pid())"))
    before = settings(made)
    with pytest.raises(DatabaseLost, match="lost the database"):
        made.index.build()
    after = settings(made)
    assert after.pop("process") != before.pop("process")
    assert after == before
