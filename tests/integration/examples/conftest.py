"""The shop's database, and programs that run in the examples' folders."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import conninfo_to_dict

from spocdb.db.attachments import Attachment
from tests.fixtures.opened import Database
from tests.integration.examples.shop import COPY, LIBPQ, N_PRODUCTS, ORIGINAL, UNPUBLISHED

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[[str], Any]


@pytest.fixture
def photos(make_photos: Callable[..., Path]) -> Path:
    """Return a folder of photos, 0000.jpg and so on; the last is a recompressed copy."""
    folder = make_photos(N_PRODUCTS)
    with Image.open(folder / f"{ORIGINAL - 1:04d}.jpg") as original:
        original.save(folder / f"{COPY - 1:04d}.jpg", quality=50)
    return folder


@pytest.fixture
def shop_environment(url: str, environment: dict[str, str], photos: Path) -> dict[str, str]:
    """Return the environment that the examples' README describes."""
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
        # Do not write bytecode into the checkout.
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
    """Create the table of products, attach it and embed its rows."""
    with psycopg.connect(db.url) as connection:
        connection.execute(
            "CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL,"
            " price numeric(10, 2) NOT NULL, published boolean NOT NULL, photo text)"
        )
    fill("products")
    db.tables.attach(Attachment("public.products", "id", "photo", str(photos)), **recipe)
    assert db.tables.work(once=True).n_failed == 0
