"""An attached table through backups and migrations, and a database without it afterwards."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import connections
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Dump = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

NEAREST = "SELECT p.id FROM products p JOIN spocdb.products s USING (id) ORDER BY s.embedding <#> "


def settled(dump: str) -> str:
    """Return a dump without the positions of sequences, which no rollback resets."""
    return re.sub(r"(?m)^SELECT pg_catalog\.setval\(.*$", "", dump)


@pytest.mark.parametrize("ends", ["detach", "drop"])
@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_nothing_is_left_of_a_table_that_was_attached(
    shop: Any, dump: Dump, ends: str, kind: str
) -> None:
    if kind == "bytes":
        shop.execute("ALTER TABLE products ALTER photo TYPE bytea USING NULL, ADD CHECK (id > 0)")
        for n in range(1, 7):
            photo = (shop.folder / f"{n - 1:04d}.jpg").read_bytes()
            shop.execute("UPDATE products SET photo = %s WHERE id = %s", [photo, n])
    shop.execute("CREATE INDEX ON products (name)")
    before, definitions = settled(dump(shop.db.url)), dump(shop.db.url, "--schema-only")
    options: dict[str, Any] = {"root": None} if kind == "bytes" else {}
    for collection in ("products", "again"):
        shop.attach(collection=collection, metadata=["name"], condition="id < 6", **options)
    assert shop.work().n_new == 5
    shop.execute("INSERT INTO products (id, name) VALUES (7, 'new')")
    shop.execute("DELETE FROM products WHERE id = 7")
    shop.attach(metadata=["name"], **options)
    shop.work()
    attached = dump(shop.db.url)
    assert attached.count("CREATE TRIGGER spocdb_") == 8
    for collection in ("products", "again"):
        if ends == "detach":
            shop.db.tables.detach(collection)
        else:
            shop.db.drop(collection)
    assert dump(shop.db.url, "--schema-only") == definitions
    if ends == "detach":
        assert settled(dump(shop.db.url)) == before
    else:
        # Descriptors stay for reuse, with their extractor and its raw projection.
        left = re.findall(r"(?m)^COPY spocdb\.(\w+) .*\n(?!\\\.)", dump(shop.db.url))
        assert left == ["alembic_version", "descriptors", "extractors", "projections"]


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_a_backup_brings_everything_back(
    shop: Any,
    empty_url: str,
    environment: dict[str, str],
    postgres_bin: Path,
    psql: Psql,
    dump: Dump,
    plan: Callable[..., str],
    tmp_path: Path,
    form: str,
) -> None:
    (shop.folder / "none.txt").write_text("no picture")
    shop.execute("INSERT INTO products VALUES (7, 'none.txt', 'none')")
    shop.attach(metadata=["name"], condition="id < 100")
    shop.work()
    shop.execute("DELETE FROM products WHERE id = 6")
    shop.execute("INSERT INTO products VALUES (8, '0005.jpg')")
    shop.execute("SELECT spocdb.take_in(1)")
    shop.execute("UPDATE products SET photo = '0004.jpg' WHERE id = 1")
    if form == "plain":
        psql(empty_url, dump(shop.db.url)).check_returncode()
    else:
        file = tmp_path / "backup"
        for command in (
            ["pg_dump", "-Fc", "-f", str(file), "-d", shop.db.url],
            ["pg_restore", "--exit-on-error", "-j", "2", "-d", empty_url, str(file)],
        ):
            program = str(postgres_bin / command[0])
            subprocess.run([program, *command[1:]], check=True, capture_output=True, timeout=120)
    assert dump(empty_url) == dump(shop.db.url)

    with Database(from_environment(empty_url, environment)) as db:
        restored = type(shop)(db, shop.folder, shop.recipe)
        assert restored.found() == shop.found() == ["1", "2", "3", "4", "5"]
        (coverage,) = db.tables.coverage()
        assert (coverage.rows, coverage.pending, coverage.failed) == (7, 2, 1)
        assert db.similar(2, 5) == shop.db.similar(2, 5)
        done = restored.work()
        assert (done.n_seen, done.n_failed) == (2, 0)
        assert restored.found() == ["1", "2", "3", "4", "5", "8"]
        restored.execute("DELETE FROM products WHERE id = 2")
        assert restored.found() == ["1", "3", "4", "5", "8"]
        restored.execute("INSERT INTO products VALUES (9, '0001.jpg', 'new')")
        assert restored.work().n_reused == 1
        assert db.tables.retry("products") == 1
        restored.execute("SET enable_seqscan = off; SET enable_sort = off")
        query = str([0.5] * 256)
        assert "embeddings_1_1_hnsw" in plan(db.connection, f"{NEAREST}'{query}' LIMIT 3")
        # Of so few images the server reads those of the collection by any index.
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'spocdb.images_key_1'::regclass"
        assert restored.execute(valid).fetchall() == [(True,)]
        db.tables.detach("products")


@pytest.fixture(scope="session")
def plan() -> Callable[..., str]:
    """Return a function that returns a statement's plan as text."""

    def explain(connection: connections.Connection, statement: str) -> str:
        rows = connection.execute(f"EXPLAIN (COSTS OFF) {statement}")
        return "\n".join(row[0] for row in rows)

    return explain


def test_a_backup_has_queries_unless_it_is_made_without_unlogged_rows(
    stocked: Any, empty_url: str, environment: dict[str, str], psql: Psql, dump: Dump
) -> None:
    picture = (stocked.folder / "0003.jpg").read_bytes()
    (id,) = stocked.execute("SELECT spocdb.ask('products', %b)", [picture]).fetchone()
    without = dump(stocked.db.url, "--no-unlogged-table-data")
    assert picture.hex() not in without and "COPY spocdb.queries" not in without
    psql(empty_url, dump(stocked.db.url)).check_returncode()
    with Database(from_environment(empty_url, environment)) as restored:
        restored.tables.work(once=True)
        nearest = restored.connection.execute(
            "SELECT s.path, q.id FROM spocdb.queries q, "
            "spocdb.search('products', q.embedding, 1, projection => q.projection) s"
        )
        assert nearest.fetchall() == [("4", id)]
        assert restored.connection.execute(
            "SELECT relpersistence FROM pg_class WHERE oid = 'spocdb.queries'::regclass"
        ).fetchone() == ("u",)
