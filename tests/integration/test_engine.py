"""The engine of a process: threads share its pool of connections and its networks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb import api
from spocdb.api import Engine, connect
from spocdb.db import pool, schema, sessions
from spocdb.db.collections import Collection
from spocdb.errors import (
    CollectionNotFound,
    ConfigError,
    DatabaseBusy,
    DatabaseError,
    DatabaseLost,
    SchemaOutOfDate,
)
from spocdb.features import devices
from spocdb.records import Float32Array
from spocdb.settings import Settings, from_environment
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Make = Callable[..., Path]

CATALOGUE = """
SELECT 'schema', nspname::text FROM pg_namespace
UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class WHERE relpersistence = 'p'
UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc
UNION ALL SELECT 'extension', extname::text FROM pg_extension
ORDER BY 1, 2
"""
# A session's state that a failed step may leave.
LEAVE = """
SET maintenance_work_mem = '99MB'; SET search_path = pg_catalog; SET DateStyle = 'German';
CREATE TEMP TABLE left_behind (); LISTEN left_behind; SELECT pg_advisory_lock(42)
"""
LEFT = """
SELECT current_setting('maintenance_work_mem'), current_setting('search_path'),
       current_setting('DateStyle'), to_regclass('pg_temp.left_behind'),
       ARRAY(SELECT pg_listening_channels()),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
"""


@pytest.fixture
def settings(url: str, environment: dict[str, str]) -> Settings:
    """Return the settings that name the test's database."""
    return from_environment(url, environment)


@pytest.fixture
def narrow(settings: Settings) -> Iterator[Engine]:
    """Return an engine with a single connection."""
    with Engine(settings, pool_size=1) as engine:
        yield engine


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connection() as connection:
        return connection.execute(statement).fetchall()


def pid(engine: Engine) -> object:
    return rows(engine, "SELECT pg_backend_pid()")


def test_opening_changes_nothing_in_a_database_without_the_schema(
    empty_url: str, environment: dict[str, str]
) -> None:
    with psycopg.connect(empty_url) as connection:
        before = connection.execute(CATALOGUE).fetchall()
    with pytest.raises(SchemaOutOfDate, match="has no schema spocdb yet: run"):
        Engine(from_environment(empty_url, environment))
    with psycopg.connect(empty_url) as connection:
        assert connection.execute(CATALOGUE).fetchall() == before


def test_opening_changes_nothing_in_a_database_with_an_older_schema(
    settings: Settings, url: str
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE spocdb.alembic_version SET version_num = '0001'")
        before = connection.execute(CATALOGUE).fetchall()
        for opening in (Engine, lambda settings: connect(settings=settings)):
            with pytest.raises(SchemaOutOfDate, match="is at 0001"):
                opening(settings)
        assert connection.execute(CATALOGUE).fetchall() == before
        version = connection.execute("SELECT version_num FROM spocdb.alembic_version").fetchone()
    assert version == ("0001",)


def test_an_engine_needs_a_url(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"needs a database_url: spocdb.connect\(\)"):
        Engine(replace(settings, database_url=None))
    with pytest.raises(ConfigError, match="pool_size must be at least 1, not 0"):
        Engine(settings, pool_size=0)


def test_one_call_after_the_other_uses_one_connection(db: Database) -> None:
    seen = {str(pid(db.engine)) for _ in range(5) if db.collections() == []}
    assert len(seen) == 1


def test_threads_share_a_database(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    wanted = {id_: db.similar(id_, 5, exact=True) for id_ in range(1, 41)}
    listed = list(db.images())
    with ThreadPoolExecutor(8) as threads:
        lists = [threads.submit(lambda: list(db.images())) for _ in range(4)]
        hits = {id_: threads.submit(db.similar, id_, 5, exact=True) for id_ in wanted}
        found = {id_: future.result() for id_, future in hits.items()}
        assert all(future.result() == listed for future in lists)
    assert found == wanted


def test_more_threads_than_connections_take_turns(
    settings: Settings, db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    wanted = db.similar(1, 5)
    with Engine(settings, pool_size=2) as engine, ThreadPoolExecutor(12) as threads:
        databases = [api.Database(engine) for _ in range(60)]
        found = list(threads.map(lambda database: database.similar(1, 5), databases))
    assert found == 60 * [wanted]


def test_a_network_is_loaded_once_for_all_threads(db: Database, recipe: dict[str, Any]) -> None:
    mini = db.recipe(**recipe)
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(lambda _: db.engine.extractor(mini, "cpu", "float32"), range(8)))
    assert len({id(extractor) for extractor in loaded}) == 1
    beside = api.Database(db.engine)
    assert beside.extractor(**recipe, device="cpu", precision="float32") is loaded[0]


@pytest.mark.parametrize("is_fast", [False, True])
def test_rows_and_queries_share_a_network_where_both_are_float32(
    db: Database, recipe: dict[str, Any], is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: is_fast)
    mini = db.recipe(**recipe)
    rows, queries = (db.engine.extractor(mini, "cpu", p) for p in ("auto", "float32"))
    assert (rows is queries) == (rows.precision == "float32") == (not is_fast)


def test_threads_search_by_images_beside_an_ingest(
    db: Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    first = make_photos(6)
    db.ingest(first, **recipe)
    files = sorted(first.iterdir())
    with ThreadPoolExecutor(5) as threads:
        more = threads.submit(db.ingest, make_photos(12, "more", seed=1), **recipe)
        hits = list(threads.map(lambda file: db.search(file, 1), files))
        assert more.result().n_new == 12
    assert [hit.path for (hit,) in hits] == [str(file) for file in files]


def test_a_pool_that_is_used_up_says_so(narrow: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_UNTIL_BUSY", 0.0)
    with narrow.connection(), pytest.raises(DatabaseBusy) as caught:
        api.Database(narrow).collections()
    assert str(caught.value) == (
        "all 1 connections of this engine are in use: use fewer threads, or a larger pool_size"
    )
    assert api.Database(narrow).collections() == []


def test_a_thread_waits_for_a_connection_that_another_uses(narrow: Engine) -> None:
    taken = Event()

    def ask() -> object:
        taken.set()
        return api.Database(narrow).collections()

    with ThreadPoolExecutor(1) as threads:
        with narrow.connection():
            waiting = threads.submit(ask)
            taken.wait()
        assert waiting.result(60) == []


def test_what_a_failed_step_leaves_in_a_session_goes(narrow: Engine) -> None:
    before, server = rows(narrow, LEFT), pid(narrow)
    with pytest.raises(DatabaseError, match="division by zero"), narrow.connection() as connection:
        connection.execute(LEAVE)
        assert connection.execute(LEFT).fetchall() != before
        connection.execute("SELECT 1 / 0")
    assert (rows(narrow, LEFT), pid(narrow)) == (before, server)
    with pytest.raises(KeyboardInterrupt), narrow.connection() as connection:
        connection.execute(LEAVE)
        raise KeyboardInterrupt
    assert (rows(narrow, LEFT), pid(narrow)) == (before, server)


def test_what_spocdb_relies_on_is_set_again_after_an_error(
    url: str, environment: dict[str, str]
) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            f"ALTER DATABASE {admin.info.dbname} SET IntervalStyle = sql_standard;"
            f"ALTER DATABASE {admin.info.dbname} SET statement_timeout = '77s'"
        )
    with Engine(from_environment(url, environment), pool_size=1) as engine:
        with pytest.raises(CollectionNotFound):
            api.Database(engine).describe("nothing")
        relied_on = sessions.RELIED_ON | dict.fromkeys(sessions.TIMEOUTS, "0")
        shown = dict(rows(engine, "SELECT name, setting FROM pg_settings"))
    assert {name: shown[name] for name in relied_on if name in shown} == {
        name: value for name, value in relied_on.items() if name in shown
    }


@pytest.mark.parametrize("given", ["", "-c statement_timeout=77s -c lock_timeout=66s"])
def test_the_timeout_of_statements_is_in_force_on_every_connection_and_stays(
    url: str, environment: dict[str, str], given: str
) -> None:
    """It is set in the session: as an option of the address it would not pass pgbouncer."""
    settings = from_environment(make_conninfo(url, options=given), environment)
    timeouts = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    expected = [("1s", "66s" if given else "0")]
    with Engine(settings, pool_size=1, statement_seconds=1) as engine:
        with engine.connection() as connection:
            assert connection.info.get_parameters().get("options", "") == given
        server, left = pid(engine), rows(engine, LEFT)
        for _ in range(2):
            assert rows(engine, timeouts) == expected
            with pytest.raises(DatabaseError, match="statement_timeout"):
                rows(engine, "SELECT pg_sleep(60)")
            with pytest.raises(ZeroDivisionError), engine.connection() as connection:
                connection.execute(f"SET statement_timeout = 0; {LEAVE}")
                raise ZeroDivisionError
            assert (pid(engine), rows(engine, LEFT)) == (server, left)
        with engine.connection(), engine.connect() as other:
            assert other.execute(timeouts).fetchall() == expected
    with Engine(settings, pool_size=1) as engine:
        assert rows(engine, timeouts) == [("77s", "66s") if given else ("0", "0")]


def test_a_transaction_that_is_left_open_is_rolled_back(narrow: Engine) -> None:
    with pytest.raises(ValueError, match="stop"), narrow.connection() as connection:
        connection.execute("BEGIN; CREATE TABLE public.half_done ()")
        raise ValueError("stop")
    assert rows(narrow, "SELECT to_regclass('public.half_done')") == [(None,)]


def test_a_connection_that_the_server_ended_is_replaced(db: Database) -> None:
    with db.engine.connection(), db.engine.connection(), db.engine.connection():
        pass  # three of the pool are idle now
    db.connection.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert [db.collections() for _ in range(5)] == 5 * [[]]


def test_a_connection_that_breaks_in_a_call_is_said_to_be_lost(narrow: Engine) -> None:
    with (
        pytest.raises(DatabaseLost, match="lost the database, run the same command again"),
        narrow.connection() as connection,
    ):
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert api.Database(narrow).collections() == []


def test_a_server_that_is_not_there_ends_the_wait(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the failure to connect can end the wait.
    monkeypatch.setattr(pool, "SECONDS_UNTIL_BUSY", float("inf"))
    nowhere = f"postgresql:///db?host={tmp_path}"
    with pytest.raises(DatabaseLost) as caught:
        connect(settings=replace(settings, database_url=nowhere))
    assert str(caught.value).startswith("cannot reach the database: ")
    assert len(str(caught.value).splitlines()) == 1
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


def test_an_address_that_makes_no_sense_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="not with mysql"):
        connect(settings=replace(settings, database_url="mysql://me@host/db"))


def test_a_closed_database_says_so(settings: Settings) -> None:
    with connect(settings=settings) as db:
        beside = api.Database(db.engine)
        beside.close()
        assert db.collections() == beside.collections() == []
    for closed in (db, beside):
        with pytest.raises(ConfigError, match="this database was closed: open it again"):
            closed.collections()


def test_an_extension_that_lies_elsewhere_is_found_by_pooled_connections(
    empty_url: str, environment: dict[str, str]
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA elsewhere; CREATE EXTENSION vector SCHEMA elsewhere")
    schema.upgrade(empty_url)
    with connect(settings=from_environment(empty_url, environment)) as db:
        assert rows(db.engine, "SELECT '[1,2]'::vector <-> '[1,2]'::vector") == [(0.0,)]


def test_the_address_is_no_part_of_what_is_shown(url: str, environment: dict[str, str]) -> None:
    secret = make_conninfo(url, password="hunter2")
    with connect(settings=from_environment(secret, environment)) as db:
        assert "hunter2" not in repr(db.engine.settings) + repr(db) + repr(db.engine)
