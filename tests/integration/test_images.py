"""Images are listed, shown, deleted and moved: by Python, by SQL, by the command line."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from spocdb.api import Engine
from spocdb.db import listing
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError, ImageNotFound
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Make = Callable[..., Path]
Cli = Callable[..., Any]


@pytest.fixture
def photos(db: Database, add_images: AddImages, clustered: Clustered) -> Database:
    """Return a database with ten images of photos, every other one even, and five of others."""
    add_images(db.connection, clustered(10))
    add_images(db.connection, clustered(5), "others")
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = jsonb_build_object('n', id, 'even', id % 2 = 0)"
    )
    return db


@pytest.fixture
def cli(app: Any, db: Database) -> Cli:
    """Return a function that runs a command in this process, on the test's database."""

    def run(*arguments: object, **options: Any) -> Any:
        return CliRunner().invoke(app, [*map(str, arguments), "--db", db.url], **options)

    return run


def paths(db: Database, collection: str = "photos") -> list[str]:
    rows = db.connection.execute(
        "SELECT i.path FROM spocdb.images i JOIN spocdb.collections c ON c.id = i.collection_id "
        "WHERE c.name = %s ORDER BY 1",
        [collection],
    )
    return [row[0] for row in rows]


def fields(result: Any) -> list[tuple[str, str]]:
    """Return the names and values that a command shows."""
    assert result.exit_code == 0, result.output
    found = [line.partition("  ") for line in result.stdout.splitlines()]
    return [(name, value.strip()) for name, _, value in found]


def embedded(db: Database) -> int:
    db.connection.execute("ANALYZE")
    return sum(table.n_rows for table in db.index.status())


def test_images_are_listed_by_their_path(photos: Database) -> None:
    found = list(photos.images(collection="photos"))
    assert [image.path for image in found] == [f"/photos/{n:06d}.jpg" for n in range(10)]
    assert (found[2].id, found[2].width, found[2].height, found[2].size) == (3, 4, 3, 1)
    assert found[2].metadata == {"n": 3, "even": False} and len(found[2].sha256) == 64
    some = photos.images("n>3 and even=true", collection="photos", limit=2)
    assert [image.id for image in some] == [4, 6]
    assert photos.count("n>3 and even=true", collection="photos") == 4


def test_a_list_comes_in_pages(
    db: Database, add_images: AddImages, clustered: Clustered, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_images(db.connection, clustered(25))
    monkeypatch.setattr(listing, "PAGE", 10)
    assert [image.id for image in db.images()] == [*range(1, 26)]
    assert [image.id for image in db.images(limit=20)] == [*range(1, 21)]
    started = db.images()
    assert next(started).id == 1
    db.delete(*range(5, 20))
    assert [image.id for image in started] == [*range(2, 11), *range(20, 26)]


def test_a_list_as_table_json_and_csv(photos: Database, cli: Cli) -> None:
    options = ("-c", "photos", "--filter", "n>=4", "--filter", "n<6")
    table = cli("images", "list", *options)
    assert (table.exit_code, table.stderr) == (0, "")
    header, first, second = table.stdout.splitlines()
    assert header.split() == ["id", "path", "pixels", "ingested", "metadata"]
    assert first.split()[:2] == ["4", "/photos/000003.jpg"]
    assert second.endswith("n=5, even=false")
    listed = json.loads(cli("images", "list", *options, "--json").stdout)
    assert [image["id"] for image in listed] == [4, 5]
    assert listed[0]["metadata"] == {"n": 4, "even": True}
    rows = list(csv.DictReader(io.StringIO(cli("images", "list", *options, "--csv").stdout)))
    assert [row["path"] for row in rows] == [image["path"] for image in listed]
    assert json.loads(rows[0]["metadata"]) == listed[0]["metadata"]
    assert rows[0].keys() == listed[0].keys()
    assert cli("images", "list", *options, "--json", "--csv").exit_code == 2


def test_a_list_of_nothing_says_why(photos: Database, cli: Cli) -> None:
    nothing = cli("images", "list", "-c", "photos", "--filter", "kinds=shoe")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr.splitlines() == [
        "no image has the key kinds; there are even, n",
        "no images",
    ]
    empty = cli("images", "list", "-c", "photos", "--filter", "n>99", "--json")
    assert json.loads(empty.stdout) == []
    wrong = cli("images", "list", "-c", "photos", "--filter", "n=>99")
    assert wrong.exit_code == 2 and "there is no operator `=>`" in wrong.stderr


def test_an_image_is_shown(
    photos: Database, add_images: AddImages, clustered: Clustered, cli: Cli
) -> None:
    add_images(photos.connection, clustered(10)[:1], first=10)
    photos.connection.execute(
        "INSERT INTO spocdb.failures SELECT collection_id, path, '9 9', 'UnreadableImage', 'bad' "
        "FROM spocdb.images WHERE id = 1"
    )
    shown = photos.image(1)
    assert (shown.collection, shown.path, shown.table) == ("photos", "/photos/000000.jpg", None)
    assert (shown.size, shown.width, shown.height) == (1, 4, 3)
    assert shown.modified is not None and shown.modified.timestamp() == 0
    assert len(shown.descriptors) == 1 and shown.descriptors[0].startswith("squeezenet1_1-")
    assert (shown.projections, shown.active) == ([1], 1)
    assert shown.copies == ["/photos/000010.jpg"]
    assert shown.failure == "UnreadableImage: bad"
    lines = fields(cli("images", "show", 1))
    assert {("path", shown.path), ("embedded by", "1*"), ("metadata n", "1")} < {*lines}
    assert json.loads(cli("images", "show", 1, "--json").stdout)["sha256"] == shown.sha256
    with pytest.raises(ImageNotFound, match=r"there is no image 999: see `db.images"):
        photos.image(999)


def test_images_are_deleted_by_id(photos: Database) -> None:
    descriptors = photos.extractors()[0].n_descriptors
    assert photos.delete(2, 3, 3, collection="photos") == 2
    assert len(paths(photos)) == 8 and len(paths(photos, "others")) == 5
    assert embedded(photos) == 13
    # They are kept for when the same bytes come again.
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


def test_a_folder_that_moved_is_known_at_its_new_place(
    db: Database, recipe: dict[str, Any], make_photos: Make, tmp_path: Path
) -> None:
    folder, beside = make_photos(3), make_photos(1, "photos-2", seed=1)
    (folder / "bad.png").write_bytes(b"bad")
    (tmp_path / "about.csv").write_text("path,n\nphotos/0001.jpg,1\n")
    db.ingest(tmp_path, metadata=tmp_path / "about.csv", **recipe)
    before = {image.id: image for image in db.images()}
    new = folder.rename(tmp_path / "moved")
    assert db.move(folder, new, dry_run=True) == 3
    assert {image.id: image for image in db.images()} == before
    assert db.move(folder, new) == 3
    after = {image.id: image for image in db.images()}
    assert {Path(image.path).parent for image in after.values()} == {new, beside}
    assert [before[id].metadata for id in before] == [after[id].metadata for id in before]
    assert [failure.path for failure in db.failures()] == [str(new / "bad.png")]
    done = db.ingest(tmp_path, prune=True, retry_failed=False)
    assert (done.n_unchanged, done.n_new, done.n_reused, done.n_pruned) == (4, 0, 0, 0)


def test_one_file_is_moved_by_relative_names(
    photos: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    moved = cli("images", "move", "/photos/000003.jpg", "there/./b.jpg", "-c", "photos")
    assert (moved.exit_code, moved.stdout) == (0, "1 image moved\n")
    assert moved.stderr == "there is nothing at there/b.jpg yet: move the files too\n"
    assert photos.path(4, collection="photos") == str(tmp_path / "there" / "b.jpg")
    dry = cli("images", "move", "/photos/", "/new", "-c", "photos", "--dry-run")
    assert dry.stdout == "9 images would be moved\n"
    assert "/photos/000000.jpg" in paths(photos)


def test_a_move_never_takes_the_place_of_another(photos: Database) -> None:
    before = paths(photos)
    photos.connection.execute(
        "UPDATE spocdb.images SET path = '/new/000001.jpg' WHERE path = '/photos/000009.jpg'"
    )
    with pytest.raises(ConfigError, match=r"1 of 9 images .*, such as /new/000001\.jpg: delete"):
        photos.move("/photos", "/new", collection="photos")
    for new in ("/photos", "/photos/below", "/"):
        with pytest.raises(ConfigError, match="lie within each other: move by way of a third"):
            photos.move("/photos", new, collection="photos")
    with pytest.raises(ConfigError, match=r"photos has no image at /phot: see `db.images"):
        photos.move("/phot", "/new", collection="photos")
    assert len(set(before) & set(paths(photos))) == 9


def test_all_of_a_collection_is_shown(photos: Database, cli: Cli, role: str) -> None:
    photos.index.build("photos")
    photos.grant_reader(role, "photos")
    number = photos.pca.fit("photos", dim=4)
    photos.pca.activate(number, "photos")
    shown = photos.describe("photos")
    assert (shown.name, shown.n_images, shown.n_contents) == ("photos", 10, 10)
    assert (shown.active.id, shown.active.kind, shown.active.dim) == (number, "pca", 4)
    assert shown.previous is not None and shown.previous.kind == "raw"
    assert [(i.projection, i.active, bool(i.bytes)) for i in shown.indexes] == [
        (1, False, True),
        (number, True, True),
    ]
    assert {(key.key, key.n_images) for key in shown.keys} == {("n", 10), ("even", 10)}
    assert (shown.columns[0].name, shown.columns[-1].type) == ("id", "vector(4)")
    assert [(grant.role, grant.privileges) for grant in shown.grants] == [(role, ["SELECT"])]
    lines = fields(cli("collections", "show", "photos"))
    assert ("images", "10, 10 of them different") in lines
    assert ("metadata", "even: 10 images") in lines
    assert ("view", "embedding vector(4)") in lines
    assert ("granted", f"{role}: SELECT") in lines
    data = json.loads(cli("collections", "show", "photos", "--json").stdout)
    assert data["active"]["dim"] == 4 and data["recipe"]["backbone"] == "squeezenet1_1"


def test_an_attached_table_is_shown_with_its_collection(stocked: Any, cli: Cli) -> None:
    shown = stocked.db.describe()
    table = shown.table
    assert table is not None
    assert (table.relation, table.key_column, table.image_column) == ("products", "id", "photo")
    assert (table.kind, table.condition, table.metadata) == ("path", "id < 1000", ["name"])
    assert [column.name for column in shown.columns][:2] == ["id", "image_id"]
    lines = fields(cli("collections", "show"))
    assert ("table", "products, key id, image photo (path)") in lines
    assert ("rows", "id < 1000") in lines


def test_iterating_gives_id_path_metadata_and_embedding(photos: Database) -> None:
    found = list(photos.images(collection="photos"))
    assert [(image.id, image.path, image.metadata["n"]) for image in found] == [
        (n, f"/photos/{n - 1:06d}.jpg", n) for n in range(1, 11)
    ]
    for image in found:
        assert image.embedding is not None and image.embedding.dtype == np.float32
        assert np.linalg.norm(image.embedding) == pytest.approx(1, abs=1e-3)
    bare = list(photos.images(collection="photos", embeddings=False))
    assert bare == found and all(image.embedding is None for image in bare)


def test_embeddings_are_those_that_iterating_gives(
    db: Database, add_images: AddImages, clustered: Clustered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    add_images(db.connection, clustered(60))
    for dim in (32, 8):  # raw ones in half precision, projected ones in single
        ids, vectors = db.embeddings()
        assert ids.dtype == np.int64 and vectors.dtype == np.float32
        assert vectors.shape == (60, dim)
        assert ids.tolist() == [*range(1, 61)]
        by_id = {image.id: image.embedding for image in db.images()}
        np.testing.assert_array_equal(vectors, np.array([by_id[id_] for id_ in ids]))
        nearest = np.argsort(-(vectors @ vectors[0]), kind="stable")[1:4]
        assert {hit.id for hit in db.similar(1, 3, exact=True)} == {*ids[nearest].tolist()}
        if dim == 32:
            db.pca.activate(db.pca.fit(dim=8))


def test_embeddings_of_an_attached_table_and_of_an_empty_collection(stocked: Any) -> None:
    ids, vectors = stocked.db.embeddings()
    assert (len(ids), vectors.shape) == (6, (6, 256))
    keys = [(image.path, image.embedding is not None) for image in stocked.db.images()]
    assert keys == [(str(n), True) for n in range(1, 7)]
    stocked.execute("DELETE FROM products")
    stocked.work()
    ids, vectors = stocked.db.embeddings()
    assert (ids.shape, vectors.shape) == ((0,), (0, 256))


def test_an_image_without_an_embedding_is_there_all_the_same(photos: Database) -> None:
    photos.connection.execute("DELETE FROM spocdb.embeddings_1_1 WHERE image_id = 3")
    missing = [i.id for i in photos.images(collection="photos") if i.embedding is None]
    assert missing == [3]
    assert 3 not in photos.embeddings("photos")[0]


def test_a_search_goes_on_while_images_are_iterated_over(
    url: str, environment: dict[str, str], photos: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    settings = from_environment(url, environment)
    # One connection is enough: none is held between two pages.
    with Engine(settings, pool_size=1) as engine:
        db = engine.database()
        for image in db.images(collection="photos"):
            (hit,) = db.similar(image.id, 1, collection="photos")
            assert hit.id != image.id


def test_iterating_takes_the_memory_of_a_page(
    db: Database, add_images: AddImages, clustered: Clustered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 50)

    def peak(n_images: int) -> int:
        tracemalloc.reset_peak()
        assert sum(1 for _ in db.images()) == n_images
        return tracemalloc.get_traced_memory()[1]

    add_images(db.connection, clustered(100, 256))
    tracemalloc.start()
    try:
        sum(1 for _ in db.images())
        small = peak(100)
        add_images(db.connection, clustered(900, 256, seed=1), first=100)
        gone = tracemalloc.get_traced_memory()[0]
        # The embeddings of the rest alone are 900 KB.
        assert peak(1000) - gone < small + 100_000
    finally:
        tracemalloc.stop()


def test_images_are_deleted_by_path(photos: Database) -> None:
    assert photos.delete("/photos/000002.jpg", Path("/photos/000003.jpg"), collection="photos") == 2
    # By both at once, and each only once.
    again = "/photos/../photos/000000.jpg"
    assert photos.delete(1, again, collection="photos", dry_run=True) == 1
    assert photos.delete(1, again, collection="photos") == 1
    assert [image.id for image in photos.images(collection="photos")] == [2, 5, 6, 7, 8, 9, 10]
    with pytest.raises(ImageNotFound, match=r"has no image /photos/000000.jpg: see"):
        photos.delete(2, "/photos/000000.jpg", collection="photos")
    assert photos.image(2).id == 2
