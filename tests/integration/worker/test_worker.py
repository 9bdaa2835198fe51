"""Workers: real processes on a real table, which are killed, stopped and left without a server."""

import http.server
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spocdb.db.attachments import Attachment
from spocdb.errors import CollectionNotFound, ConfigError, SourceBroken
from tests.fixtures.buckets import serving
from tests.fixtures.opened import Database
from tests.integration.worker.products import TABLE, WORKING, counts, coverage, logged

Make = Callable[..., Path]
Recipe = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_every_row_is_embedded_once_and_the_same_bytes_once(db: Database, shop: Path) -> None:
    assert counts(db) == (6, 0, 6, 0, 0)
    db.connection.execute("INSERT INTO products (photo) SELECT photo FROM products WHERE id = 1")
    done = db.tables.work(once=True)
    assert (done.n_new, done.n_reused, done.n_failed) == (6, 1, 0)
    assert counts(db) == (7, 7, 0, 0, 0)
    assert db.tables.work(once=True).n_seen == 0
    nearest = db.connection.execute("SELECT key, distance FROM spocdb.similar_rows('products', 1)")
    key, distance = nearest.fetchall()[0]
    assert (key, distance) == ("7", pytest.approx(0, abs=1e-3))


def test_a_row_is_searched_for_by_its_key(db: Database, shop: Path, spocdb: Run) -> None:
    db.connection.execute("INSERT INTO products (photo) SELECT photo FROM products WHERE id = 1")
    db.tables.work(once=True)
    sheet = shop.parent / "sheet.png"
    ran = spocdb("search", "--key", 7, "-k", 2, "--csv", "--sheet", sheet)
    assert ran.returncode == 0, ran.stderr
    assert [line.split(",")[2] for line in ran.stdout.splitlines()[:2]] == ["key", "1"]
    colours = Image.open(sheet).convert("RGB").getcolors(10**7)
    assert colours and len(colours) > 10_000  # the tiles show pictures and are not grey
    ran = spocdb("search", "--key", "none")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (
        ran.stderr == "spocdb: collection products has no image of row none: see `spocdb status`\n"
    )


def test_what_changes_is_followed(db: Database, shop: Path) -> None:
    db.tables.work(once=True)
    db.connection.execute("UPDATE products SET published = false WHERE id = 1")
    db.connection.execute("UPDATE products SET colour = 'red' WHERE id = 2")
    db.connection.execute("UPDATE products SET photo = '0004.jpg' WHERE id = 3")
    db.connection.execute("UPDATE products SET photo = NULL WHERE id = 4")
    db.connection.execute("UPDATE products SET photo = '' WHERE id = 5")
    # Three rows do not belong any more, but count until a worker removes them.
    assert counts(db) == (6, 1, 5, 0, 0)
    done = db.tables.work(once=True)
    # The bytes of products 2 and 3 are known: no network is needed.
    assert (done.n_new, done.n_reused, done.n_pruned) == (0, 2, 3)
    assert counts(db) == (3, 3, 0, 0, 0)
    rows = db.connection.execute("SELECT id, metadata FROM spocdb.products ORDER BY id").fetchall()
    assert rows == [(2, {"colour": "red"}), (3, {"colour": None}), (6, {"colour": None})]
    found = db.connection.execute(
        "SELECT key FROM spocdb.similar_rows('products', 6, filter => '{\"colour\": \"red\"}')"
    )
    assert found.fetchall() == [("2",)]


def test_names_of_no_collection(db: Database, shop: Path, make_photos: Make) -> None:
    with pytest.raises(CollectionNotFound, match="no collection named shoes; there are: prod"):
        db.tables.work("shoes", once=True)
    assert db.tables.work("products", once=True).n_new == 6
    with pytest.raises(ConfigError, match=r"products is of the rows of products: `db\.tables\.w"):
        db.ingest(make_photos(1, "more"), collection="products")


def test_a_table_that_was_altered_is_one_line_and_the_others_go_on(
    db: Database,
    shop: Path,
    recipe: Recipe,
    said: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    db.connection.execute("CREATE TABLE shoes (id uuid PRIMARY KEY, image bytea)")
    photo = (shop / "0003.jpg").read_bytes()
    db.connection.execute("INSERT INTO shoes VALUES (gen_random_uuid(), %s)", [photo])
    db.tables.attach(Attachment("shoes", "id", "image"), **recipe)
    db.connection.execute("ALTER TABLE products RENAME photo TO picture")
    db.connection.execute("INSERT INTO products (picture) VALUES ('0000.jpg')")
    said.clear()
    with pytest.raises(
        SourceBroken, match=r"run `db.tables.attach.* again with what it is"
    ) as told:
        db.tables.work(once=True)
    assert str(told.value).startswith(
        "the table of products is not as it was attached (public.products has no column photo): "
    )
    assert said == ["working on products (table products), shoes (table shoes)", "shoes: 1 new"]
    (done,) = [record for record in caplog.records if hasattr(record, "n_new")]
    assert vars(done).items() >= {"collection": "shoes", "n_new": 1, "n_failed": 0}.items()
    problem = "public.products has no column photo"
    assert (coverage(db).rows, coverage(db).problem) == (None, problem)
    db.tables.attach(Attachment("products", "id", "picture", root=str(shop)), **recipe)
    db.tables.work(once=True)
    assert counts(db) == (7, 7, 0, 0, 0)


class Site(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_urls_are_fetched_from_public_addresses_unless_allowed(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(3)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=folder))
    with serving(server):
        db.connection.execute(TABLE)
        for name in ("0000.jpg", "0001.jpg", "0002.jpg", "missing.jpg"):
            url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
            db.connection.execute("INSERT INTO products (photo) VALUES (%s)", [url])
        attachment = Attachment("products", "id", "photo", urls=True)
        db.tables.attach(attachment, **recipe)
        db.tables.work(once=True)
        assert {f.reason for f in db.failures("products")} == {"AddressRefused"}
        assert counts(db) == (4, 0, 0, 0, 4)
        allowed = Attachment("products", "id", "photo", urls=True, allow_private=True)
        db.tables.attach(allowed, **recipe)
        db.tables.work(once=True)
        assert counts(db)[:3] == (4, 3, 1)


def test_an_attached_collection_is_reembedded_from_its_rows(db: Database, shop: Path) -> None:
    db.tables.work(once=True)
    db.reembed("mini", "products", size=96)
    assert counts(db) == (6, 6, 0, 0, 0)
    db.connection.execute("UPDATE products SET photo = '0005.jpg' WHERE id = 1")
    assert db.tables.work(once=True).n_reused == 1


def test_a_worker_on_a_machine_of_its_own_finds_or_is_given_the_weights(
    db: Database, shop: Path, random_recipe: Recipe, spocdb: Run, environment: dict[str, str]
) -> None:
    db.connection.execute("CREATE TABLE shoes (id text PRIMARY KEY, image bytea)")
    photo = (shop / "0003.jpg").read_bytes()
    db.connection.execute("INSERT INTO shoes VALUES ('left', %s)", [photo])
    db.tables.attach(Attachment("shoes", "id", "image"), **random_recipe)
    elsewhere = {**environment, "SPOCDB_CACHE_DIR": str(shop.parent / "elsewhere")}
    for name in ("products", "shoes"):
        ran = spocdb("worker", "--once", "--collections", name, env=elsewhere | _url(db))
        if name == "products":
            assert (ran.returncode, logged(ran.stderr)) == (0, [WORKING, "products: 6 new"])
    assert ran.returncode == 1
    assert ran.stderr.endswith("not on this machine: give the file with --weights FILE\n")
    # No row was leased.
    given = ("--weights", random_recipe["weights"])
    ran = spocdb("worker", "--once", *given, env=elsewhere | _url(db))
    assert (ran.returncode, logged(ran.stderr)[1:]) == (0, ["shoes: 1 new"])


def _url(db: Database) -> dict[str, str]:
    return {"SPOCDB_DATABASE_URL": db.url}


def test_a_root_is_the_same_folder_wherever_a_worker_starts(db: Database, recipe: Recipe) -> None:
    db.connection.execute(TABLE)
    with pytest.raises(ConfigError, match="the root is neither an absolute path nor the"):
        db.tables.attach(Attachment("products", "id", "photo", root="media"), **recipe)
