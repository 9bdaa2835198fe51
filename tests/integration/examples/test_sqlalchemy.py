"""The example of SQLAlchemy, and attaching by Alembic's migrations."""

import subprocess
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, MetaData, create_engine, text

from spocdb.integrations.alembic import AttachImages, include_name, include_object
from tests.integration.examples.shop import (
    BY_INDEX,
    COPY,
    N_PRODUCTS,
    ORIGINAL,
    SCANS,
    SQLALCHEMY,
    TRIGGERS,
    UNPUBLISHED,
    _ids,
    scans_after,
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[[str], Any]


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


@pytest.mark.slow
def test_the_sqlalchemy_shop(
    alembic: Run,
    run: Run,
    fill: Callable[[str], None],
    work: Callable[[], None],
    query: Query,
) -> None:
    alembic("upgrade", "0001")
    fill("products")  # rows from before the table was attached
    alembic("upgrade", "head")
    assert run(SQLALCHEMY, "similar.py", ORIGINAL).stdout == ""  # no worker has run yet
    work()

    scans = query(SCANS)
    found = _ids(run(SQLALCHEMY, "similar.py", ORIGINAL, **BY_INDEX).stdout)
    assert scans_after(query, scans) == scans + 1
    assert found[0] == COPY
    assert len(found) == 5
    assert not {ORIGINAL, UNPUBLISHED} & set(found)
    assert _ids(run(SQLALCHEMY, "similar.py", UNPUBLISHED, **BY_INDEX).stdout)

    alembic("check")  # Alembic takes no object of spocdb for the shop's
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
