"""Thumbnails are stored with images, made on demand, and go with the last image of their bytes."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import connections, thumbnails
from spocdb.errors import ImageChanged, ImageNotFound, ImageTooLarge, ImageVanished
from spocdb.records import Signature, SmallPicture
from spocdb.settings import from_environment
from spocdb.worker import WorkerOptions
from tests.fixtures.opened import Database
from tests.integration.images.looking import fields

Make = Callable[..., Path]
Options = dict[str, Any]
Cli = Callable[..., Any]


def stored(db: Database) -> dict[str, bytes]:
    """Return the stored thumbnails by the sha256 (hex) of their images."""
    return {
        sha256.hex(): webp
        for sha256, webp in db.connection.execute("SELECT sha256, webp FROM spocdb.thumbnails")
    }


def contents(db: Database, collection: str = "photos") -> set[str]:
    return {image.sha256 for image in db.images(collection=collection)}


def descriptors(db: Database) -> list[tuple[Any, ...]]:
    return db.connection.execute(
        "SELECT sha256, descriptor::text FROM spocdb.descriptors ORDER BY 1"
    ).fetchall()


@pytest.fixture
def ingested(db: Database, recipe: Options, make_photos: Make) -> Database:
    """Return a database with four images in photos, ids 1 to 4."""
    db.ingest(make_photos(4), **recipe)
    return db


def test_an_ingest_stores_a_thumbnail_of_each_content(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(4)
    (folder / "copy.jpg").write_bytes((folder / "0000.jpg").read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    progress = db.ingest(folder, **recipe)
    assert (progress.n_new, progress.n_reused, progress.n_failed) == (4, 1, 1)
    assert stored(db).keys() == contents(db)
    for image in db.images():
        found = db.thumbnail(image.id)
        assert (found.sha256, found.data) == (image.sha256, stored(db)[image.sha256])
        with Image.open(io.BytesIO(found.data)) as picture:
            assert (picture.format, picture.size) == ("WEBP", (96, 72))


def test_descriptors_are_the_same_with_and_without(
    db: Database, other: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(4)
    Image.open(folder / "0000.jpg").resize((2000, 1500)).save(folder / "large.jpg")
    db.ingest(folder, **recipe)
    other.ingest(folder, thumbnails=False, **recipe)
    assert len(stored(db)) == 4 and not stored(other)  # `large` is for this network scaled too far
    assert descriptors(db) == descriptors(other)
    assert len(descriptors(db)) == 5


def test_a_missing_thumbnail_is_made_on_demand_and_stored(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, thumbnails=False, **recipe)
    assert not db.image(1).has_thumbnail
    found = db.thumbnail(1)
    assert stored(db) == {found.sha256: found.data}
    assert db.image(1).has_thumbnail and not db.image(2).has_thumbnail
    Path(db.image(1).path).unlink()
    assert db.thumbnail(1) == found


def test_an_images_bytes_are_read(ingested: Database) -> None:
    file = Path(ingested.image(1).path)
    data = file.read_bytes()
    assert ingested.read(1) == data
    file.write_bytes(data + b"\0")
    with pytest.raises(ImageChanged, match=r"^it has other bytes than when it was stored$"):
        ingested.read(1)
    file.unlink()
    with pytest.raises(ImageVanished):
        ingested.read(1)
    for method in (ingested.read, ingested.thumbnail):
        with pytest.raises(ImageNotFound, match="there is no image 99: see"):
            method(99)


def test_other_bytes_give_no_thumbnail_of_an_image(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, thumbnails=False, **recipe)
    (folder / "0000.jpg").write_bytes((folder / "0001.jpg").read_bytes())
    with pytest.raises(ImageChanged):
        db.thumbnail(1)
    assert not stored(db)


def test_limits_hold_on_demand(db: Database, recipe: Options, make_photos: Make) -> None:
    db.ingest(make_photos(1), thumbnails=False, **recipe)
    few_pixels = replace(db.settings, max_pixels=96 * 72 - 1)
    for settings in (few_pixels, replace(db.settings, max_bytes=100)):
        with Database(settings) as strict, pytest.raises(ImageTooLarge):
            strict.thumbnail(1)
    assert not stored(db)


def test_a_thumbnail_goes_with_the_last_image_of_its_bytes(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    db.ingest(folder / "0000.jpg", collection="others", **recipe)
    first, _, third = (image.sha256 for image in db.images(collection="photos"))
    db.delete(1, 2, collection="photos")
    assert stored(db).keys() == {first, third}
    db.drop("others")
    assert stored(db).keys() == {third}
    db.drop("photos")
    assert not stored(db)


def test_a_thumbnail_goes_with_replaced_bytes(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    before = contents(db)
    # One changes places with another, one has new bytes.
    a, b = folder / "0000.jpg", folder / "0001.jpg"
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    Image.new("RGB", (90, 70), "red").save(folder / "0002.jpg")
    db.ingest(folder)
    assert len(contents(db) & before) == 2
    # Descriptors that are known are not computed again, so their thumbnails stayed.
    assert stored(db).keys() == contents(db)


def test_pruned_images_lose_their_thumbnails(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    (folder / "0001.jpg").unlink()
    db.ingest(folder, prune=True)
    assert stored(db).keys() == contents(db) and len(contents(db)) == 2


def test_transactions_that_delete_copies_do_not_wait_and_what_they_leave_goes_later(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(1)
    db.ingest(folder, **recipe)
    db.ingest(folder, collection="others", **recipe)
    with connections.connect(db.url) as one, connections.connect(db.url) as two:
        two.execute("SET lock_timeout = '1s'")
        with one.transaction(), two.transaction():
            one.execute("SELECT spocdb.delete_images('photos', '{1}')")
            two.execute("SELECT spocdb.delete_images('others', '{2}')")
    # Each saw the image that the other one deleted.
    assert len(stored(db)) == 1
    db.tables.work(once=True)
    assert not stored(db)


def test_nothing_is_stored_of_an_image_that_is_being_deleted(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    db.ingest(make_photos(2), thumbnails=False, **recipe)
    with connections.connect(db.url) as deleting, deleting.transaction():
        deleting.execute("SELECT spocdb.delete_images('photos', '{1}')")
        assert db.thumbnail(1).data
        assert not stored(db)
    with db.engine.connection() as connection:
        # Of other bytes than the image has by now.
        other = replace(thumbnails.content(connection, 2), sha256=bytes(32).hex())
        thumbnails.add_made(connection, other, SmallPicture(b"webp", Signature(1, 1)))
    assert not stored(db)


def test_a_role_that_may_not_write_gets_thumbnails_all_the_same(
    db: Database, recipe: Options, make_photos: Make, role: str, environment: dict[str, str]
) -> None:
    db.ingest(make_photos(1), thumbnails=False, **recipe)
    for right in ("USAGE ON SCHEMA", "SELECT ON ALL TABLES IN SCHEMA"):
        grant = SQL("GRANT {} spocdb TO {}").format(SQL(right), Identifier(role))
        db.connection.execute(grant)
    read_only = "-c default_transaction_read_only=on"
    for url in (make_conninfo(db.url, user=role), make_conninfo(db.url, options=read_only)):
        with Database(from_environment(url, environment)) as reader:
            assert reader.thumbnail(1).sha256 == db.image(1).sha256
    assert not stored(db)


def test_a_worker_stores_thumbnails_unless_told_not_to(shop: Any) -> None:
    db = shop.db
    shop.attach()
    db.tables.work(once=True, options=WorkerOptions(db.settings.limits, thumbnails=False))
    assert len(contents(db, "products")) == 6 and not stored(db)
    assert db.thumbnail(1).data and len(stored(db)) == 1
    db.connection.execute("TRUNCATE spocdb.descriptors")
    shop.attach()
    assert shop.work().n_new == 6
    assert stored(db).keys() == contents(db, "products")


def test_rows_that_go_take_their_thumbnails_with_them(stocked: Any) -> None:
    db = stocked.db
    assert len(stored(db)) == 6
    stocked.execute("DELETE FROM products WHERE id < 3")
    assert stored(db).keys() == contents(db, "products") and len(stored(db)) == 4
    # The worker itself deletes the image of a row that leads to none any more.
    (stocked.folder / "none.txt").write_text("no picture")
    stocked.execute("UPDATE products SET photo = 'none.txt' WHERE id = 3")
    stocked.work()
    assert stored(db).keys() == contents(db, "products") and len(stored(db)) == 3
    stocked.execute("TRUNCATE products")
    assert not stored(db)


def test_bytes_in_a_row_are_read_by_their_image(db: Database, recipe: Options, shop: Any) -> None:
    shop.execute("ALTER TABLE products ADD picture bytea")
    data = (shop.folder / "0000.jpg").read_bytes()
    shop.execute("UPDATE products SET picture = %s WHERE id = 1", [data])
    shop.attach(image="picture", root=None)
    db.tables.work(once=True, options=WorkerOptions(db.settings.limits, thumbnails=False))
    (image,) = db.images()
    assert db.read(image.id) == data
    assert db.thumbnail(image.id).sha256 == image.sha256


def test_the_command_line_says_which_are_stored_and_may_do_without(
    db: Database, cli: Cli, make_photos: Make
) -> None:
    folder = make_photos(1)
    options = (folder, "--extractor", "mini", "--size", "64", "-q")
    assert cli("ingest", *options, "--no-thumbnails").exit_code == 0
    assert ("thumbnail", "made on demand") in fields(cli("images", "show", 1))
    db.thumbnail(1)
    assert ("thumbnail", "stored") in fields(cli("images", "show", 1))
