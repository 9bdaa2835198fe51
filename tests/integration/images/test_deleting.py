"""Images are deleted by id, path or filter, each with its embeddings, or not at all."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.errors import ConfigError, ImageNotFound
from tests.fixtures.opened import Database
from tests.integration.images.looking import embedded, fields, paths

Cli = Callable[..., Any]


def test_images_are_deleted_by_id(photos: Database) -> None:
    descriptors = photos.extractors()[0].n_descriptors
    assert photos.delete(2, 3, 3, collection="photos") == 2
    assert len(paths(photos)) == 8 and len(paths(photos, "others")) == 5
    assert embedded(photos) == 13
    # Descriptors are kept for later images with the same bytes.
    assert photos.extractors()[0].n_descriptors == descriptors


def test_images_are_deleted_by_a_filter(photos: Database) -> None:
    delete = partial(photos.delete, filter="even=true and n<8", collection="photos")
    assert delete(dry_run=True) == 3
    assert len(paths(photos)) == 10
    assert delete() == 3
    assert delete() == 0
    assert [image.id for image in photos.images(collection="photos")] == [1, 3, 5, 7, 8, 9, 10]


def test_nothing_is_deleted_if_one_is_not_there(photos: Database) -> None:
    # 11 is an image of another collection.
    with pytest.raises(ImageNotFound, match=r"collection photos has no image 11, 99: see"):
        photos.delete(1, 99, 11, collection="photos")
    wrong: list[tuple[list[int], Any]] = [([], None), ([], {}), ([], []), ([], ""), ([1], "n=1")]
    for ids, filter in wrong:
        with pytest.raises(ConfigError):
            photos.delete(*ids, filter=filter, collection="photos")
    assert len(paths(photos)) == 10


def test_deleting_is_asked_for(photos: Database, cli: Cli) -> None:
    options = ("images", "delete", "-c", "photos")
    dry = cli(*options, "--filter", "even=true", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "5 images would be deleted\n")
    asked = cli(*options, "--filter", "even=true", input="n\n")
    assert asked.exit_code == 1
    assert "Delete 5 images of photos? Files stay." in asked.stderr
    assert len(paths(photos)) == 10
    assert cli(*options, 1, input="y\n").stdout.endswith("deleted 1 image\n")
    assert cli(*options, "--filter", "even=true", "--yes").stdout == "deleted 5 images\n"
    assert len(paths(photos)) == 4
    nothing = cli(*options, "--filter", "evn=true", "--yes")
    assert nothing.stdout == "nothing to do\n"
    assert nothing.stderr == "no image has the key evn; there are even, n\n"
    assert cli(*options).exit_code == cli(*options, 1, "--filter", "n=1").exit_code == 2


def test_sql_deletes_what_the_view_shows(photos: Database) -> None:
    statement = """
        SELECT spocdb.delete_images('photos', ARRAY(SELECT id FROM spocdb.photos WHERE {}))
    """
    execute = photos.connection.execute
    by_filter = 'metadata @@ spocdb.filter_path(\'[["n", ">", 8]]\')'
    assert execute(statement.format(by_filter)).fetchone() == (2,)
    assert execute(statement.format("path LIKE '%/00000_.jpg'")).fetchone() == (8,)
    assert execute("SELECT spocdb.delete_images('photos', '{11}')").fetchone() == (0,)
    assert len(paths(photos, "others")) == embedded(photos) == 5
    with pytest.raises(psycopg.errors.UndefinedObject, match="no collection named nothing"):
        execute("SELECT spocdb.delete_images('nothing', '{1}')")


def test_a_table_decides_what_belongs_to_its_collection(stocked: Any, cli: Cli) -> None:
    db = stocked.db
    refused = "of the rows of products, which decides what belongs to it"
    with pytest.raises(ConfigError, match=refused):
        db.delete(1)
    with pytest.raises(ConfigError, match=refused):
        db.delete(filter="name exists", dry_run=True)
    with pytest.raises(ConfigError, match=refused):
        db.move("1", "7")
    with pytest.raises(psycopg.errors.InvalidName, match="of the rows of a table, which decides"):
        db.connection.execute("SELECT spocdb.delete_images('products', '{1}')")
    assert [image.path for image in db.images("name~[12]$")] == ["1", "2"]
    shown = db.image(1)
    assert (shown.table, shown.path, shown.modified) == ("products", "1", None)
    assert cli("images", "list").stdout.split()[:2] == ["id", "key"]
    assert ("key", "1") in fields(cli("images", "show", 1))


def test_images_are_deleted_by_path(photos: Database) -> None:
    assert photos.delete("/photos/000002.jpg", Path("/photos/000003.jpg"), collection="photos") == 2
    # By ids and paths together; an image that is named twice is counted once.
    again = "/photos/../photos/000000.jpg"
    assert photos.delete(1, again, collection="photos", dry_run=True) == 1
    assert photos.delete(1, again, collection="photos") == 1
    assert [image.id for image in photos.images(collection="photos")] == [2, 5, 6, 7, 8, 9, 10]
    with pytest.raises(ImageNotFound, match=r"has no image /photos/000000.jpg: see"):
        photos.delete(2, "/photos/000000.jpg", collection="photos")
    assert photos.image(2).id == 2
