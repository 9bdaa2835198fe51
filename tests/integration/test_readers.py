"""A program that runs as a reader's role: what it is shown, and how the rest is refused."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb import CollectionNotFound, DatabaseError, ImageNotFound, Refinement
from spocdb.settings import from_environment
from tests.fixtures.opened import Database


@pytest.fixture
def reader_url(url: str, roles: dict[str, str]) -> str:
    """Return the database's URL as the reader."""
    return make_conninfo(url, user=roles["reader"])


@pytest.fixture
def reading(
    granted: Any,
    roles: dict[str, str],
    make_photos: Callable[..., Any],
    reader_url: str,
    environment: dict[str, str],
) -> Iterator[Database]:
    """Return the API as a reader of `products` and `files`, beside `secret` and `hidden`."""
    (granted.folder / "none.txt").write_text("no picture")
    granted.execute("INSERT INTO products VALUES (8, 'none.txt')")
    granted.work()
    granted.db.ingest(make_photos(3, "files", 1), collection="files", **granted.recipe)
    granted.db.ingest(make_photos(4, "hidden", 2), collection="hidden", extractor="mini", size=48)
    granted.db.grant_reader(roles["reader"], "files")
    granted.db.pca.activate(granted.db.pca.fit("secret", dim=4), "products")
    granted.db.pca.fit("hidden", dim=2)
    with Database(from_environment(reader_url, environment)) as database:
        yield database


def test_a_reader_is_shown_what_the_owner_is_of_its_collections(
    granted: Any, reading: Database
) -> None:
    picture = granted.folder / "0002.jpg"
    shown: list[Callable[[Database], Any]] = [
        lambda db: [c for c in db.collections() if c.name in ("files", "products")],
        lambda db: db.search(picture, 3, collection="products"),
        lambda db: db.search(picture, 3, collection="products", filter={"name": "shoe 3"}),
        lambda db: db.search(picture, 2, collection="files", refinement=Refinement(2, 3.0, 3)),
        lambda db: db.similar(1, 3, collection="products", exact=True),
        lambda db: db.similar([1, 2], 3, collection="products", unlike=[3], projection=1),
        lambda db: db.search(picture, 3, collection="products", projection=1, max_distance=1.5),
        lambda db: db.search(picture, None, collection="products", max_distance=1.5),
        lambda db: db.embed(picture, collection="files").tolist(),
        lambda db: [*db.images(collection="products")],
        lambda db: [*db.images([("name", "~", "shoe [1-3]")], collection="products", limit=2)],
        lambda db: [str(image.embedding) for image in db.images(collection="files")],
        lambda db: [array.tolist() for array in db.embeddings("products")],
        lambda db: db.count(collection="files"),
        lambda db: db.image(db.tables.image_id("3", "products")),
        lambda db: [
            db.path(image.id, collection="files") for image in db.images(collection="files")
        ],
        lambda db: [*db.failures("products")],
        lambda db: db.tables.coverage("products"),
        lambda db: db.tables.names_by("products"),
        lambda db: db.describe("files"),
        lambda db: db.describe("products").keys,
        lambda db: db.index.status("products"),
        lambda db: db.pca.show(3)[1].explained.tolist(),
    ]
    for number, call in enumerate(shown):
        found = call(reading)
        assert found == call(granted.db), number
        assert found, number
    path = next(reading.images(collection="files")).path
    assert reading.reader("files")(path)[:2] == b"\xff\xd8"


def test_a_reader_is_shown_nothing_of_others(granted: Any, reading: Database) -> None:
    others = granted.execute(
        "SELECT i.id FROM spocdb.images i JOIN spocdb.collections c ON c.id = i.collection_id "
        "WHERE c.name IN ('secret', 'hidden')"
    ).fetchall()
    told = [
        reading.collections(),
        reading.failures(),
        reading.tables.coverage(),
        reading.tables.list(),
        reading.index.status(),
        reading.pca.list(),
        reading.describe("products"),
    ]
    assert not re.search("secret|hidden|mini-(?!41704123)", str(told))
    assert [projection.id for projection in reading.pca.list()] == [1, 3]
    assert reading.pca.show(3)[0].fitted_on == {} != granted.db.pca.show(3)[0].fitted_on
    assert reading.tables.list()[0].root is None
    for (id,) in others:
        with pytest.raises(ImageNotFound):
            reading.image(id)
        with pytest.raises(ImageNotFound):
            reading.similar(id, collection="products")
    for name in ("secret", "hidden", "no such"):
        for call in (
            reading.describe,
            reading.failures,
            reading.tables.coverage,
            reading.embeddings,
        ):
            with pytest.raises(CollectionNotFound, match=r"there are: files, products$"):
                call(name)
    with pytest.raises(CollectionNotFound):
        reading.search(granted.folder / "0002.jpg", collection="secret")


def test_a_reader_s_writes_are_refused_in_one_line(
    granted: Any, reading: Database, roles: dict[str, str]
) -> None:
    folder, before = granted.folder, granted.db.tables.coverage()
    path = next(reading.images(collection="files")).path
    theirs = type(granted)(reading, folder, granted.recipe)
    by_the_owner: list[Callable[[], Any]] = [
        lambda: reading.ingest(folder, collection="files"),
        lambda: reading.ingest(folder, collection="new", extractor="mini", size=32),
        lambda: reading.delete(path, collection="files"),
        lambda: reading.move(path, folder / "elsewhere.jpg", collection="files"),
        lambda: reading.drop("files"),
        lambda: reading.pca.fit("files", dim=2),
        lambda: reading.pca.activate(1, "products"),
        lambda: reading.pca.rollback("products"),
        lambda: reading.pca.drop(1, "products"),
        lambda: reading.index.build("files"),
        lambda: reading.tables.retry("products"),
        lambda: reading.tables.detach("products"),
        lambda: theirs.attach(collection="mine"),
        reading.evaluations,
        reading.extractors,
    ]
    for number, call in enumerate(by_the_owner):
        with pytest.raises(
            DatabaseError, match="takes the rights of the owner of spocdb"
        ) as raised:
            call()
        assert "\n" not in str(raised.value), number
    for call in (theirs.work, lambda: reading.reader("products")("1")):
        with pytest.raises(DatabaseError, match=r"spocdb.source_rows.*`db.grant_worker\('spocdb"):
            call()
    for call in (
        lambda: reading.grant_reader(roles["member"], "products"),
        lambda: reading.grant_worker(roles["member"]),
    ):
        with pytest.raises(DatabaseError, match="may not grant rights to spocdb: its owner does"):
            call()
    assert granted.db.tables.coverage() == before


def test_commands_run_as_a_reader(
    granted: Any, reading: Database, reader_url: str, spocdb: Callable[..., Any]
) -> None:
    picture = str(granted.folder / "0002.jpg")
    for *arguments, found in (
        ("search", picture, "--collection", "products", "-k", "1", "--csv", "name"),
        ("search", "--key", "3", "--collection", "products", "--csv", "name"),
        ("images", "list", "--collection", "files", "files/0001.jpg"),
        ("images", "show", "1", "shoe 1"),
        ("collections", "show", "files", "mini"),
        ("status", "products"),
        ("failures", "UnreadableImage"),
        ("pca", "list", "raw"),
    ):
        ran = spocdb(*arguments, "--db", reader_url)
        assert ran.returncode == 0, ran.stderr
        assert found in ran.stdout and "secret" not in ran.stdout + ran.stderr, arguments
    ran = spocdb("ingest", str(granted.folder), "--collection", "files", "--db", reader_url)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines()[-1].startswith("spocdb: permission denied for table")
    assert "(`spocdb db grant --worker`)" in ran.stderr
    ran = spocdb("worker", "--once", "--db", reader_url)
    assert ran.returncode == 1 and "`spocdb db grant --worker 'spocdb" in ran.stderr
    ran = spocdb("db", "doctor", "--db", reader_url)
    assert "may not create what spocdb needs" in ran.stdout


def test_a_reader_is_shown_thumbnails_of_its_images(
    granted: Any, reading: Database, log_in: Callable[..., Any], roles: dict[str, str]
) -> None:
    count = "SELECT count(*) FROM spocdb.thumbnails"
    shown: set[str] = set()
    for image in [*reading.images(collection="files"), *reading.images(collection="products")]:
        assert reading.thumbnail(image.id) == granted.db.thumbnail(image.id)
        shown.add(image.sha256)
    (n_all,) = granted.execute(count).fetchone()
    (n_shown,) = log_in(roles["reader"]).execute(count).fetchone()
    assert n_all > n_shown == len(shown)
    (hidden,) = granted.execute("SELECT min(id) FROM spocdb.hidden").fetchone()
    with pytest.raises(ImageNotFound):
        reading.thumbnail(hidden)


def test_the_right_goes_with_the_view_s(
    granted: Any, reading: Database, roles: dict[str, str]
) -> None:
    reader = Identifier(roles["reader"])
    granted.execute(SQL("REVOKE SELECT ON spocdb.files FROM {}").format(reader))
    assert [c.name for c in reading.collections()] == ["products"]
    assert reading.collection() == "products"
    # A projection of another dimension makes the view again, with its rights.
    granted.db.pca.rollback("products")
    assert len(reading.similar(1, 3)) == 3
    granted.execute(SQL("REVOKE SELECT ON spocdb.products FROM {}").format(reader))
    assert reading.collections() == []
    with pytest.raises(CollectionNotFound):
        reading.similar(1, 3)
