"""Images are listed, shown and moved, and so is their collection."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import listing
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError, ImageNotFound
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.integration.images.looking import fields, paths

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Make = Callable[..., Path]
Cli = Callable[..., Any]


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
    # Empty is not the current folder.
    for unset in (("", "/new"), ("/photos/000000.jpg", "")):
        refused = cli("images", "move", *unset, "-c", "photos")
        assert refused.exit_code == 1
        assert str(refused.exception) == "path must be a path or a URI, not ''"
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
        with pytest.raises(ConfigError, match="contains the other: move through a third"):
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
    assert (shown.columns[0].name, shown.columns[-1].type) == ("id", "halfvec(4)")
    assert [(grant.role, grant.privileges) for grant in shown.grants] == [(role, ["SELECT"])]
    lines = fields(cli("collections", "show", "photos"))
    assert ("images", "10, 10 of them different") in lines
    assert ("metadata", "even: 10 images") in lines
    assert ("view", "embedding halfvec(4)") in lines
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
