"""A worker next to an application that locks rows and tables in any order."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.db.attachments import Attachment
from spocdb.errors import DatabaseError
from spocdb.progress import Progress
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitForLock

Recipe = dict[str, Any]
Work = Callable[[], "Future[Progress]"]

TABLE = """
CREATE TABLE {} (id bigint PRIMARY KEY, photo text, price integer NOT NULL DEFAULT 5)
"""


@pytest.fixture
def folder(make_photos: Callable[..., Path]) -> Path:
    return make_photos(4)


@pytest.fixture
def shop(db: Database, folder: Path, recipe: Recipe) -> Database:
    """Return a database whose four products are embedded."""
    fill(db, "products", folder, recipe, condition="price < 100")
    db.tables.work(once=True)
    return db


def fill(db: Database, table: str, folder: Path, recipe: Recipe, **options: Any) -> None:
    db.connection.execute(TABLE.format(table))
    for number, file in enumerate(sorted(folder.iterdir()), 1):
        values = [number, file.name]
        db.connection.execute(f"INSERT INTO {table} (id, photo) VALUES (%s, %s)", values)
    db.tables.attach(Attachment(table, "id", "photo", root=str(folder), **options), **recipe)


@pytest.fixture
def work(url: str, environment: dict[str, str]) -> Iterator[Work]:
    """Return a function that runs a worker in another thread until no row is due."""

    def run() -> Progress:
        with Database(from_environment(url, environment)) as database:
            return database.tables.work(once=True)

    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(run)


def embedded(db: Database) -> list[int]:
    rows = db.connection.execute("SELECT id FROM spocdb.products ORDER BY id")
    return [row[0] for row in rows]


def test_an_application_that_deletes_in_another_order_is_not_the_one_to_give_way(
    shop: Database, work: Work, wait_for_lock: WaitForLock
) -> None:
    with psycopg.connect(shop.url, autocommit=True) as other:
        # Both embeddings must be deleted.
        other.execute("UPDATE products SET price = 1000 WHERE id < 3")
    with psycopg.connect(shop.url) as application:
        # It locks image 2, and later image 1, which the worker has locked by then.
        application.execute("DELETE FROM products WHERE id = 2")
        done = work()
        wait_for_lock(shop.connection)
        application.execute("DELETE FROM products WHERE id = 1")
        application.commit()
    assert done.result(60).n_failed == 0
    shop.tables.work(once=True)
    assert embedded(shop) == [3, 4]


def test_a_migration_that_alters_and_attaches_is_not_the_one_to_give_way(
    shop: Database, work: Work, wait_for_lock: WaitForLock, folder: Path
) -> None:
    shop.connection.execute("UPDATE products SET photo = '0003.jpg' WHERE id = 1")
    with psycopg.connect(shop.url) as migration:
        migration.execute("ALTER TABLE products ADD colour text")
        done = work()
        wait_for_lock(shop.connection)
        migration.execute(
            "SELECT spocdb.attach('products', 'id', 'photo', root => %s, metadata => '{colour}')",
            [str(folder)],
        )
        migration.commit()
    assert done.result(60).n_failed == 0
    assert embedded(shop) == [1, 2, 3, 4]
    (metadata,) = shop.connection.execute("SELECT DISTINCT metadata FROM spocdb.products")
    assert metadata == ({"colour": None},)


def test_detaching_gives_way_until_the_application_is_done(
    shop: Database, wait_for_lock: WaitForLock
) -> None:
    began, finished = threading.Event(), threading.Event()

    def use() -> None:
        with psycopg.connect(shop.url) as application:
            # It reads first and then writes; detaching needs an exclusive lock for both.
            application.execute("SELECT count(*) FROM spocdb.products")
            began.set()
            with psycopg.connect(shop.url, autocommit=True) as another:
                wait_for_lock(another)
            application.execute("UPDATE products SET price = 6 WHERE id = 1")
            finished.set()

    thread = threading.Thread(target=use)
    thread.start()
    began.wait()
    shop.tables.detach("products")
    assert finished.is_set()
    thread.join()
    assert shop.tables.list() == []


def test_a_row_that_the_application_holds_is_no_failed_attempt(shop: Database) -> None:
    shop.connection.execute("UPDATE products SET photo = '0003.jpg' WHERE id < 3")
    with psycopg.connect(shop.url) as application:
        application.execute("SELECT FROM products WHERE id = 2 FOR UPDATE")
        assert shop.tables.work(once=True).n_seen == 2
        rows = shop.connection.execute("SELECT key, attempts, lease FROM spocdb.queue")
        assert rows.fetchall() == [("2", 0, None)]


def test_trouble_with_one_collection_stops_no_other(
    shop: Database, folder: Path, recipe: Recipe
) -> None:
    fill(shop, "shoes", folder, recipe, condition="10 / price > 1")
    shop.connection.execute("UPDATE shoes SET price = 0 WHERE id = 1")
    shop.connection.execute("UPDATE products SET photo = '0001.jpg' WHERE id = 1")
    with pytest.raises(DatabaseError, match="division by zero"):
        shop.tables.work(once=True)
    coverage = {c.collection: c for c in shop.tables.coverage()}
    assert (coverage["products"].pending, coverage["shoes"].leased) == (0, 0)
    assert coverage["shoes"].problem == "division by zero"
    shop.connection.execute("UPDATE shoes SET price = 1")
    assert shop.tables.work(once=True).n_reused == 4


def test_a_root_that_is_not_there_costs_no_attempts(
    shop: Database, folder: Path, recipe: Recipe
) -> None:
    shop.connection.execute("UPDATE products SET photo = '0001.jpg' WHERE id = 1")
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(DatabaseError, match=f"products: there is no folder {folder} here"):
        shop.tables.work(once=True)
    away.rename(folder)
    assert embedded(shop) == [1, 2, 3, 4]
    assert shop.tables.work(once=True).n_reused == 1
