"""A bad image is stored as a failure with its reason; the run goes on, and can retry it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spocdb.db import runs
from spocdb.errors import CollectionNotFound, ConfigError, UnreadableImage
from spocdb.images.formats import READ
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]


def reasons(db: Database) -> dict[str, tuple[str, str]]:
    return {Path(f.path).name: (f.reason, f.message) for f in db.failures()}


def make_good(file: Path) -> None:
    """Write an image into a file without changing its size or time."""
    before = file.stat()
    Image.new("RGB", (40, 40), "red").save(file, "PNG")
    assert file.stat().st_size <= before.st_size
    with open(file, "ab") as stream:
        stream.write(bytes(before.st_size - file.stat().st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def folder(make_photos: Make) -> Path:
    """Return a folder of four good images and one bad one."""
    folder = make_photos(4)
    (folder / "bad.png").write_bytes(b"no image".ljust(1000))
    return folder


def test_a_bad_image_is_listed_and_the_others_are_stored(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    progress = db.ingest(folder, **recipe)
    assert (progress.n_new, progress.n_failed) == (4, 1)
    (failure,) = db.failures()
    assert (failure.collection, failure.path) == ("photos", str(folder / "bad.png"))
    assert failure.reason == "UnreadableImage"
    assert failure.message == f"not a {READ} file"
    assert db.collections()[0].n_failures == 1


def test_each_kind_of_failure_has_its_reason(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(1)
    (folder / "empty.jpg").touch()
    (folder / "cut.jpg").write_bytes((folder / "0000.jpg").read_bytes()[:700])
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb") as stream:
        stream.write((folder / "0000.jpg").read_bytes())
    progress = db.ingest(folder, **recipe)
    assert (progress.n_new, progress.n_failed) == (1, 5)
    found = reasons(db)
    assert {name: reason for name, (reason, _) in found.items()} == {
        "empty.jpg": "UnreadableImage",
        "cut.jpg": "UnreadableImage",
        "gone.jpg": "ImageVanished",
        "huge.png": "ImageTooLarge",
        "caf\\udce9.jpg": "UnreadableImage",
    }
    assert found["empty.jpg"][1] == "empty file"
    assert "truncated" in found["cut.jpg"][1]
    assert "raise SPOCDB_MAX_PIXELS" in found["huge.png"][1]
    assert found["caf\\udce9.jpg"][1] == "the file's name is not UTF-8: rename it"
    assert all("\n" not in message for _, message in found.values())


def test_the_limit_of_pixels_is_a_setting(db: Database, recipe: Recipe, make_photos: Make) -> None:
    with Database(replace(db.settings, max_pixels=96 * 72 - 1)) as strict:
        assert strict.ingest(make_photos(1), **recipe).n_failed == 1
    assert reasons(db)["0000.jpg"][0] == "ImageTooLarge"
    assert db.ingest(make_photos(1), retry_failed=True).n_failed == 0


def test_copies_of_a_bad_image_are_each_listed(db: Database, recipe: Recipe, folder: Path) -> None:
    for name in ("bad2.png", "zbad.png"):
        (folder / name).write_bytes((folder / "bad.png").read_bytes())
    assert db.ingest(folder, batch_size=2, **recipe).n_failed == 3
    assert reasons(db).keys() == {"bad.png", "bad2.png", "zbad.png"}


def test_a_failed_file_is_not_read_again_until_asked(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    make_good(folder / "bad.png")
    progress = db.ingest(folder)
    assert (progress.n_unchanged, progress.n_failed) == (4, 1)
    progress = db.ingest(folder, retry_failed=True)
    assert (progress.n_new, progress.n_unchanged, progress.n_failed) == (1, 4, 0)
    assert list(db.failures()) == []
    assert db.search(folder / "bad.png")[0].path == str(folder / "bad.png")


def test_a_failed_file_that_changes_is_tried_again(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    Image.new("RGB", (40, 40)).save(folder / "bad.png")
    assert db.ingest(folder).n_new == 1
    assert list(db.failures()) == []


def test_all_failed_files_of_a_collection_are_retried_without_naming_them(
    db: Database, recipe: Recipe, folder: Path, make_photos: Make
) -> None:
    other = make_photos(1, "other", seed=1)
    (other / "bad.png").write_bytes(b"still bad")
    db.ingest(folder, other, **recipe)
    make_good(folder / "bad.png")
    progress = db.ingest(retry_failed=True)
    assert (progress.n_seen, progress.n_new, progress.n_failed) == (2, 1, 1)
    assert [f.path for f in db.failures()] == [str(other / "bad.png")]


def test_a_retried_file_that_is_gone_says_so(db: Database, recipe: Recipe, folder: Path) -> None:
    db.ingest(folder, **recipe)
    (folder / "bad.png").unlink()
    assert db.ingest(retry_failed=True).n_failed == 1
    assert reasons(db)["bad.png"] == (
        "ImageVanished",
        "cannot read the file: No such file or directory",
    )


def test_prune_forgets_the_failures_of_deleted_files_too(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb") as stream:
        stream.write(b"still there")
    db.ingest(folder, **recipe)
    assert len([*db.failures()]) == 2
    (folder / "bad.png").unlink()
    db.ingest(folder, prune=True)
    assert reasons(db).keys() == {"caf\\udce9.jpg"}


def test_retrying_in_a_collection_that_is_not_there_makes_none(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    with pytest.raises(CollectionNotFound, match="no collection named typo; there are: photos"):
        db.ingest(collection="typo", retry_failed=True)
    assert [c.name for c in db.collections()] == ["photos"]


def test_an_image_that_breaks_keeps_answering_and_is_listed(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").write_bytes(b"broken now")
    progress = db.ingest(folder)
    assert (progress.n_unchanged, progress.n_failed) == (3, 2)
    assert reasons(db).keys() == {"0000.jpg", "bad.png"}
    assert db.collections()[0].n_images == 4


def test_strict_stops_at_the_first_bad_image_and_keeps_what_was_written(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(8)
    (folder / "0003x.png").write_bytes(b"bad")
    with pytest.raises(UnreadableImage, match=r"/0003x\.png: not a JPEG"):
        db.ingest(folder, strict=True, batch_size=2, **recipe)
    assert 0 < db.collections()[0].n_images < 8
    assert reasons(db).keys() == {"0003x.png"}
    ((status,),) = db.connection.execute("SELECT status FROM spocdb.runs")
    assert status == "failed"


def test_failures_are_those_of_the_collection_that_is_named(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    db.ingest(folder / "0000.jpg", collection="good", **recipe)
    assert list(db.failures("good")) == []
    assert len([*db.failures("photos")]) == len([*db.failures()]) == 1
    with pytest.raises(CollectionNotFound, match="nowhere"):
        db.failures("nowhere")


INVENT = """
INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
SELECT c.id, format('/%s/%s', c.name, n), '', 'UnreadableImage', 'no image'
FROM spocdb.collections c, generate_series(1, 25) n
"""


def test_failures_are_read_in_pages(
    db: Database, recipe: Recipe, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(1)
    for name in ("a", "b"):
        db.ingest(folder, collection=name, **recipe)
    db.connection.execute(INVENT)
    every = [(f.collection, f.path) for f in db.failures()]
    asked: list[int] = []

    def counted(connection: Any, target: Any, after: str | None, n: int) -> list[runs.Failure]:
        asked.append(n)
        return page(connection, target, after, n)

    page = runs.failures
    monkeypatch.setattr(runs, "PAGE", 10)
    monkeypatch.setattr(runs, "failures", counted)
    assert [(f.collection, f.path) for f in db.failures()] == every == sorted(every)
    assert (len(every), asked) == (50, 6 * [10])
    paths = [path for name, path in every if name == "a"]
    assert [f.path for f in db.failures("a", after=paths[3], limit=5)] == paths[4:9]
    assert [f.path for f in db.failures("a", limit=12)] == paths[:12]


def test_pages_of_failures_belong_to_one_collection(db: Database) -> None:
    with pytest.raises(ConfigError, match="collection must be a name, where `after` says where"):
        db.failures(after="a.jpg")
    with pytest.raises(ConfigError, match="limit must be zero or more, not -1"):
        db.failures(limit=-1)
