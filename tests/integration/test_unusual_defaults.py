"""spocdb works the same with any defaults of a role, a database or PGOPTIONS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from spocdb.db import connections, doctor, schema
from spocdb.db.attachments import Attachment
from spocdb.db.sessions import RELIED_ON, TIMEOUTS
from spocdb.errors import DatabaseError
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Make = Callable[..., Path]

FORMATS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "<+05:45>-05:45",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "client_encoding": "latin1",
}
TRANSACTIONS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "row_security": "off",
    "search_path": "",
    "synchronous_commit": "off",
}
PLANS = {
    "jit": "on",
    "jit_above_cost": "0",
    "enable_indexscan": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
    "cursor_tuple_fraction": "0",
    "work_mem": "64kB",
}
SHORT = {
    "statement_timeout": "3s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "3s",
    "idle_session_timeout": "3s",
}

# A photograph in the table itself, and columns whose text depends on settings.
TABLE = """
CREATE TABLE public.goods (id integer PRIMARY KEY, photo bytea, day date, at timestamptz,
                           took interval, weight double precision)
"""
ROW = """
INSERT INTO public.goods VALUES
    (%s, %s, '2024-02-03', '2024-02-03 04:05:06+00', '1 day 2 hours', 0.1::float8 + 0.2)
"""
STORED = "SELECT path, metadata FROM spocdb.images i JOIN spocdb.collections c \
ON c.id = i.collection_id WHERE c.name = 'goods' ORDER BY path"


def walk(url: str, environment: dict[str, str], folder: Path, recipe: dict[str, Any]) -> Any:
    """Ingest, fit, search, attach and work; return the results."""
    with Database(from_environment(url, environment)) as db:
        db.ingest(folder, auto_pca=0, **recipe)
        db.pca.activate(db.pca.fit("photos", dim=4), "photos")
        found = [
            (Path(hit.path).name, round(hit.distance, 4))
            for hit in db.search(folder / "0001.jpg", 3, collection="photos")
        ]
        goods = Attachment("public.goods", "id", "photo", metadata=["day", "at", "took", "weight"])
        db.tables.attach(goods, "goods", **recipe)
        done = db.tables.work(once=True)
        status = [(c.collection, c.embedded, c.pending) for c in db.tables.coverage()]
        verdicts = [finding.verdict for finding in doctor.examine(db.connection)]
        rows = db.connection.execute(STORED).fetchall()
        listed = [c.created_at.utcoffset() for c in db.collections()]
        return found, done.n_stored, done.n_failed, status, verdicts, rows, listed


def fill(url: str, folder: Path) -> None:
    with psycopg.connect(url, autocommit=True) as application:
        application.execute(TABLE)
        for i, file in enumerate(sorted(folder.iterdir())):
            application.execute(ROW, [i, file.read_bytes()])


def by_default(url: str, values: dict[str, str]) -> None:
    """Set the values as defaults of every new session of the database."""
    with psycopg.connect(url, autocommit=True) as admin:
        for name, value in values.items():
            statement = SQL("ALTER DATABASE {} SET {} TO {}")
            database = Identifier(admin.info.dbname)
            admin.execute(statement.format(database, Identifier(name), Literal(value)))


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """Return a dict for the results without unusual defaults; the first test fills it."""
    return {}


@pytest.mark.parametrize("values", [{}, FORMATS, TRANSACTIONS, PLANS, SHORT], ids=["none", *"FTPS"])
def test_everything_works_as_ever(
    url: str,
    environment: dict[str, str],
    make_photos: Make,
    recipe: dict[str, Any],
    expected: dict[str, Any],
    values: dict[str, str],
) -> None:
    folder = make_photos(5)
    fill(url, folder)
    by_default(url, values)
    found = walk(url, environment, folder, recipe)
    assert found[:3] == (found[0], 5, 0)
    assert found == expected.setdefault("found", found)


def test_every_connection_has_what_spocdb_relies_on(url: str) -> None:
    by_default(url, FORMATS | TRANSACTIONS | SHORT)
    with connections.connect(url) as connection:
        shown: dict[str, str] = dict(
            connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        )
    for name, value in RELIED_ON.items():
        assert shown[name] == value
    for name in TIMEOUTS:
        assert shown.get(name, "0") == "0"
    assert (shown["client_encoding"], shown["search_path"]) == ("UTF8", "public")


def test_the_planner_is_left_to_the_user(url: str) -> None:
    by_default(url, {"enable_indexscan": "off", "jit": "on"})
    with connections.connect(url) as connection:
        assert connection.execute("SHOW enable_indexscan").fetchone() == ("off",)


def test_a_time_out_of_the_url_is_meant_for_spocdb(url: str) -> None:
    limited = make_conninfo(url, options="-c statement_timeout=1s")
    with connections.connect(limited) as connection:
        with pytest.raises(DatabaseError) as caught, connections.wrapped():
            connection.execute("SELECT pg_sleep(60)")
        assert str(caught.value) == (
            "the server ended the statement after the statement_timeout of PGOPTIONS or of the "
            "URL's options: raise it there"
        )
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_role_s_own_schemas_come_before_the_extension_s(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute('CREATE SCHEMA app; CREATE SCHEMA "od\'d"')
    by_default(url, {"search_path": 'pg_temp, "od\'d", app, pg_catalog, public, missing'})
    with psycopg.connect(url, autocommit=True) as admin:
        # Literal would quote it as one name, so the list is text.
        admin.execute(
            SQL(
                'ALTER DATABASE {} SET search_path = pg_temp, "od\'d", app, pg_catalog, missing'
            ).format(Identifier(admin.info.dbname))
        )
    with connections.connect(url) as connection:
        (path,) = connection.execute("SHOW search_path").fetchone() or ("",)
    assert path == '"od\'d", app, public'


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", '"the app\'s"'), ('"the app\'s", public', '"the app\'s", public')],
)
def test_the_extension_s_schema_comes_last_or_where_the_role_has_it(
    empty_url: str, given: str, expected: str
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute('CREATE SCHEMA "the app\'s"; CREATE EXTENSION vector SCHEMA "the app\'s"')
    path = f"-c search_path={given}".replace(" ", "\\ ").replace("-c\\ ", "-c ")
    with connections.connect(make_conninfo(empty_url, options=path)) as connection:
        (shown,) = connection.execute("SHOW search_path").fetchone() or ("",)
        zero = connection.execute("SELECT '[1,2]'::vector <-> '[1,2]'::vector").fetchone()
    assert (shown, zero) == (expected, (0.0,))


def test_a_database_in_another_encoding_is_refused(server: str) -> None:
    name = "latin_one"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    url = make_conninfo(server, dbname=name)
    try:
        with pytest.raises(DatabaseError, match=r"encoded in LATIN1.* UTF8"):
            schema.upgrade(url)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_may_only_be_read_is_searched_and_says_why_nothing_is_written(
    url: str, db: Database, environment: dict[str, str], make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(4)
    db.ingest(folder, **recipe)
    by_default(url, {"default_transaction_read_only": "on"})
    with Database(from_environment(url, environment)) as reader:
        assert Path(reader.search(folder / "0002.jpg", 1)[0].path).name == "0002.jpg"
        for write in (
            lambda: reader.ingest(make_photos(5), **recipe),
            lambda: reader.pca.fit(dim=2),
            lambda: reader.drop("photos"),
            reader.index.build,
        ):
            with pytest.raises(DatabaseError, match="spocdb may only read here"):
                write()
