"""The rights of a worker, and of an owner of spocdb that owns nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import connections, schema
from spocdb.errors import ConfigError, DatabaseError, SourceBroken
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

DENIED = psycopg.errors.InsufficientPrivilege

LogIn = Callable[[str], connections.Connection]


@pytest.mark.parametrize("is_hardened", [False, True])
def test_a_worker_works_and_no_more(
    granted: Any,
    roles: dict[str, str],
    log_in: LogIn,
    spocdb: Callable[..., Any],
    url: str,
    is_hardened: bool,
) -> None:
    if is_hardened:
        (name,) = granted.execute("SELECT current_database()").fetchone()
        granted.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(name)))
        granted.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        granted.db.grant_worker(roles["worker"])
    granted.execute("INSERT INTO products VALUES (7, '0000.jpg'), (8, 'none.txt')")
    granted.execute("UPDATE products SET photo = '0001.jpg' WHERE id = 1")
    granted.execute("DELETE FROM products WHERE id = 2")
    number = granted.db.pca.fit("products", dim=3)
    granted.db.pca.activate(number, "products")
    (granted.folder / "none.txt").write_text("no picture")
    ran = spocdb("worker", "--once", "--db", make_conninfo(url, user=roles["worker"]))
    assert (ran.returncode, ran.stdout) == (3, ""), ran.stderr
    assert granted.found() == granted.found("secret") == ["1", "3", "4", "5", "6", "7"]
    assert len(granted.db.similar(1, 9, collection="products")) == 5
    missing = f"SELECT count(*) FROM spocdb.embeddings_1_{number}"
    assert granted.execute(missing).fetchone() == (6,)

    execute = log_in(roles["worker"]).execute
    rows = execute("SELECT collection, rows, embedded, failed FROM spocdb.coverage").fetchall()
    assert rows == [("products", 7, 6, 1), ("products", 7, 6, 1), ("secret", 7, 6, 1)]
    for statement in (
        "SELECT id FROM products",
        "UPDATE products SET name = NULL",
        "SELECT spocdb.attach('products', 'id', 'photo', root => '/')",
        "SELECT spocdb.detach('products')",
        "SELECT spocdb.drop_collection(1)",
        "SELECT spocdb.activate(1, 1)",
        "SELECT spocdb.enqueue_1()",
        "DELETE FROM spocdb.sources",
        "UPDATE spocdb.sources SET condition = 'true'",
        "UPDATE spocdb.collections SET name = 'x'",
        "DELETE FROM spocdb.projections",
        "DELETE FROM spocdb.descriptors",
        "CREATE TABLE spocdb.x ()",
    ):
        with pytest.raises((DENIED, psycopg.errors.FeatureNotSupported)):
            execute(statement)


def test_a_worker_stores_thumbnails_and_deletes_them_with_images(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str]
) -> None:
    Image.new("RGB", (40, 30), "red").save(granted.folder / "red.jpg")
    granted.execute("INSERT INTO products VALUES (7, 'red.jpg')")
    n_thumbnails = "SELECT count(*) FROM spocdb.thumbnails"
    with Database(from_environment(make_conninfo(url, user=roles["worker"]), environment)) as db:
        assert db.tables.work(once=True).n_new == 1
        assert granted.execute(n_thumbnails).fetchone() == (7,)
        granted.execute("DELETE FROM spocdb.thumbnails")
        assert db.thumbnail(1).data
        assert granted.execute(n_thumbnails).fetchone() == (1,)
        granted.execute("UPDATE products SET photo = '../outside.jpg' WHERE id = 1")
        db.tables.work(once=True)
        assert granted.execute(n_thumbnails).fetchone() == (0,)


def test_a_worker_of_an_earlier_release_may_store_thumbnails_after_an_upgrade(
    db: Database, role: str, log_in: LogIn
) -> None:
    db.grant_worker(role)
    schema.downgrade(db.url, "0.1.0")
    schema.upgrade(db.url)
    execute = log_in(role).execute
    thumbnail = [bytes(32), b"webp"]
    execute("INSERT INTO spocdb.thumbnails VALUES (%s, %s)", thumbnail)
    assert execute("DELETE FROM spocdb.thumbnails RETURNING webp").fetchone() == (b"webp",)
    for statement in ("UPDATE spocdb.thumbnails SET webp = ''", "TRUNCATE spocdb.thumbnails"):
        with pytest.raises(DENIED):
            execute(statement)


@pytest.fixture
def owned(
    roles: dict[str, str], shop: Any, empty_url: str, environment: dict[str, str]
) -> Iterator[Database]:
    """Return the API as a plain role that owns only spocdb, next to a shop's table."""
    with psycopg.connect(empty_url, autocommit=True) as admin:
        owner = Identifier(roles["owner"])
        admin.execute("CREATE EXTENSION vector")
        admin.execute(SQL("CREATE SCHEMA spocdb AUTHORIZATION {}").format(owner))
        admin.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text, name text)")
        admin.execute("INSERT INTO products VALUES (1, '0000.jpg'), (2, '0001.jpg')")
    as_owner = make_conninfo(empty_url, user=roles["owner"])
    schema.upgrade(as_owner)
    with Database(from_environment(as_owner, environment)) as database:
        yield database


def test_the_owner_of_spocdb_needs_rights_on_the_table(
    roles: dict[str, str], shop: Any, owned: Database, empty_url: str
) -> None:
    theirs = type(shop)(owned, shop.folder, shop.recipe)
    with pytest.raises(DatabaseError, match="may not SELECT, UPDATE, TRIGGER") as raised:
        theirs.attach()
    grant = str(raised.value).partition("run ")[2].partition(" (UPDATE to lock")[0]
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute(grant)
        theirs.attach()
        assert theirs.work().n_new == 2
        admin.execute("UPDATE products SET id = 3 WHERE id = 1")
        assert theirs.work().n_reused == 1
        assert theirs.found() == ["2", "3"]

        # A policy that is added later does not hide rows from the worker: the worker stops.
        admin.execute("INSERT INTO products VALUES (4, '0002.jpg')")
        admin.execute("ALTER TABLE products ENABLE ROW LEVEL SECURITY")
        with pytest.raises(SourceBroken, match="row-level security"):
            theirs.work()
        assert theirs.found() == ["2", "3"]
        assert "row-level security" in str(owned.tables.coverage()[0].problem)
        with pytest.raises(DatabaseError, match="row-level security hides rows"):
            theirs.attach()
        with pytest.raises(DatabaseError, match="row-level security hides rows"):
            theirs.attach(collection="another")
        admin.execute(SQL("ALTER ROLE {} BYPASSRLS").format(Identifier(roles["owner"])))
        theirs.attach()
        assert theirs.work().n_new == 1
        assert theirs.found() == ["2", "3", "4"]
        owned.tables.detach("products")


def test_a_role_can_use_an_extension_that_lives_apart(
    roles: dict[str, str], shop: Any, empty_url: str, environment: dict[str, str]
) -> None:
    reader, owner = roles["reader"], Identifier(roles["owner"])
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA apart; CREATE EXTENSION vector SCHEMA apart")
        admin.execute(SQL("GRANT USAGE ON SCHEMA apart TO {}").format(owner))
        admin.execute(SQL("CREATE SCHEMA spocdb AUTHORIZATION {}").format(owner))
        admin.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text)")
        admin.execute("INSERT INTO products VALUES (1, '0000.jpg'), (2, '0001.jpg')")
        admin.execute(SQL("GRANT ALL ON products TO {}").format(owner))
        as_owner = make_conninfo(empty_url, user=roles["owner"])
        schema.upgrade(as_owner)
        with Database(from_environment(as_owner, environment)) as database:
            theirs = type(shop)(database, shop.folder, shop.recipe)
            theirs.attach()
            theirs.work()
            with pytest.raises(ConfigError, match="ask the owner of apart to run GRANT") as no:
                database.grant_reader(reader, "products")
            admin.execute(str(no.value).partition(" to run ")[2])
            database.grant_reader(reader, "products")
        with connections.connect(make_conninfo(empty_url, user=reader)) as connection:
            for search in (
                "spocdb.products ORDER BY embedding <#> (SELECT embedding FROM spocdb.products "
                "WHERE id = 1)",
                "spocdb.search('products', spocdb.embedding('products', 1))",
                "spocdb.expand('products', spocdb.embedding('products', 1))",
                "spocdb.similar_rows('products', 1)",
            ):
                assert connection.execute(f"SELECT * FROM {search}").fetchall(), search
