"""Ingest: each content is computed once, unchanged files never, changed ones are replaced."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ConfigError, UnreadableImage
from tests.fixtures.ingested import counts, rows
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Options = dict[str, Any]


def test_every_image_becomes_a_row_with_its_embedding(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(10)
    assert counts(db.ingest(folder, **recipe)) == (10, 0, 0, 0)
    stored = rows(db)
    assert stored.keys() == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        _, sha256, embedding = stored[file.name]
        assert sha256 == hashlib.sha256(file.read_bytes()).digest()
        assert embedding.shape == (256,)
        assert abs(np.linalg.norm(embedding) - 1) < 1e-3
    ((width, height),) = db.connection.execute("SELECT DISTINCT width, height FROM spocdb.photos")
    assert (width, height) == (96, 72)


@pytest.mark.parametrize("collection", ['say "hi"', "Höhle 洞", "100%", "a b;--", "x" * 63])
def test_a_collection_may_be_called_anything(
    db: Database, recipe: Options, make_photos: Make, collection: str
) -> None:
    db.ingest(make_photos(2), collection=collection, **recipe)
    assert [(c.name, c.n_images) for c in db.collections()] == [(collection, 2)]
    assert db.similar(1, collection=collection)[0].id == 2


@pytest.mark.parametrize("collection", ["images", "x" * 64, "ü" * 32, "", "\udce9"])
def test_a_name_that_cannot_be_is_refused_in_words(
    db: Database, recipe: Options, make_photos: Make, collection: str
) -> None:
    with pytest.raises(ConfigError, match=r"name|not UTF-8"):
        db.ingest(make_photos(1), collection=collection, **recipe)
    assert db.collections() == []


FORMATS = ["a.png", "b.bmp", "c.tiff", "d.webp", "e.gif", "f.jpg", "g.avif", "H.JPEG"]


def test_every_format_is_read_and_looks_the_same(
    db: Database, recipe: Options, tmp_path: Path
) -> None:
    # Few colours, which also a GIF can store.
    colours = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200)], np.uint8)
    picture = Image.fromarray(colours[np.arange(96 * 64).reshape(96, 64) // 1024 % 3])
    for name in FORMATS:
        options = {"lossless": True} if name.endswith("webp") else {"quality": 90 + len(name)}
        picture.save(tmp_path / name, **options)
    assert counts(db.ingest(tmp_path, **recipe)) == (len(FORMATS), 0, 0, 0)
    stored = {name: embedding for name, (_, _, embedding) in rows(db).items()}
    assert stored.keys() == set(FORMATS)
    for name in FORMATS:
        least = 0.99 if name in ("f.jpg", "g.avif", "H.JPEG") else 0.9999
        assert stored[name] @ stored["a.png"] >= least, name


def test_of_an_animation_the_first_frame_counts(
    db: Database, recipe: Options, tmp_path: Path
) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "both.gif", save_all=True, append_images=[blue])
    red.save(tmp_path / "red.png")
    blue.save(tmp_path / "blue.png")
    db.ingest(tmp_path, **recipe)
    stored = {name: embedding for name, (_, _, embedding) in rows(db).items()}
    assert stored["both.gif"] @ stored["red.png"] > 0.9999
    assert stored["both.gif"] @ stored["blue.png"] < 0.9999


@pytest.mark.parametrize("name", ["new\nline.jpg", "quote'\".jpg", "日本語.jpg", "tab\t\\n.jpg"])
def test_a_file_may_be_called_anything_that_is_utf_8(
    db: Database, recipe: Options, make_photos: Make, name: str
) -> None:
    folder = make_photos(1)
    (folder / "0000.jpg").rename(folder / name)
    assert counts(db.ingest(folder, **recipe)) == (1, 0, 0, 0)
    (hit,) = db.search(folder / name)
    assert hit.path == str(folder / name)
    assert hit.distance < 1e-3
    assert counts(db.ingest(folder, prune=True)) == (0, 0, 1, 0)


def test_a_run_is_recorded_with_its_counts(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    progress = db.ingest(make_photos(3), **recipe)
    ((status, summary),) = db.connection.execute("SELECT status, summary FROM spocdb.runs")
    assert status == "finished"
    assert summary == progress.as_dict()


def test_progress_is_told_until_all_is_done(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    told: list[int] = []
    db.ingest(make_photos(5), batch_size=2, on_progress=lambda p: told.append(p.n_done), **recipe)
    assert told == sorted(told)
    assert told[-1] == 5


def test_subfolders_are_left_alone_if_asked(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    make_photos(3, "photos/below", seed=1)
    assert db.ingest(folder, recursive=False, **recipe).n_seen == 2
    assert counts(db.ingest(folder)) == (3, 0, 2, 0)


def test_a_relative_path_is_stored_absolute(
    db: Database, recipe: Options, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(1)
    monkeypatch.chdir(folder)
    db.ingest(".", **recipe)
    assert db.path(1) == str(folder / "0000.jpg")
    assert counts(db.ingest("../photos/0000.jpg")) == (0, 0, 1, 0)


def test_nothing_is_made_by_a_path_that_is_not_there(
    db: Database, recipe: Options, make_photos: Make, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no such file or folder: .*nowhere"):
        db.ingest(make_photos(1), tmp_path / "nowhere", **recipe)
    assert db.collections() == []


def test_nothing_is_made_by_weights_that_do_not_fit(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(1)
    with pytest.raises(ConfigError, match="broken, or unsafe to load"):
        db.ingest(folder, **recipe | {"weights": folder / "0000.jpg"})
    assert counts(db.ingest(folder, **recipe)) == (1, 0, 0, 0)


def test_nothing_is_made_for_a_folder_without_images(
    db: Database, recipe: Options, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there are no images under"):
        db.ingest(tmp_path, **recipe)
    assert db.collections() == []


def test_a_file_of_too_many_bytes_is_a_failure_and_not_read_whole(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    with open(folder / "huge.png", "wb") as stream:
        stream.truncate(2**41)  # sparse: no disk is used
    assert db.ingest(folder, **recipe).n_failed == 1
    (failure,) = db.failures()
    assert (failure.reason, Path(failure.path).name) == ("ImageTooLarge", "huge.png")


def test_a_file_that_is_all_right_again_is_no_failure_any_more(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    file = make_photos(1) / "0000.jpg"
    good, times = file.read_bytes(), file.stat()
    db.ingest(file, **recipe)
    file.write_bytes(b"broken")
    assert db.ingest(file).n_failed == 1
    file.write_bytes(good)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (db.ingest(file).n_unchanged, [*db.failures()]) == (1, [])


def test_strict_stops_at_a_failure_that_is_known_too(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    (folder / "bad.jpg").write_bytes(b"bad")
    assert db.ingest(folder, **recipe).n_failed == 1
    with pytest.raises(UnreadableImage, match=r"bad\.jpg"):
        db.ingest(folder, strict=True)
