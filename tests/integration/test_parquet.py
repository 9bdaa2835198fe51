"""Ingests of Parquet files: repeated, changed, pruned, damaged, read again and killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.archived import packed
from tests.fixtures.ingested import counts, network
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> dict[str, dict[str, Any]]:
    return {image.path: image.metadata for image in db.images(collection="photos")}


def test_files_are_ingested_once_with_their_metadata(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, spocdb: Run
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    packed(folder / "train-0.parquet", make_photos(3))
    packed(folder / "train-1.parquet", make_photos(2, "second", seed=1))
    progress = db.ingest(folder / "train-{0..1}.parquet", **recipe)
    assert counts(progress) == (5, 0, 0, 0)
    assert stored(db) == {
        f"{folder}/train-{file}.parquet/image/{n}": {
            "image_path": f"{n:04}.jpg",
            "kind": f"{n:04}",
        }
        for file, n_rows in enumerate((3, 2))
        for n in range(n_rows)
    }
    with network() as batches:
        assert counts(db.ingest(folder)) == (0, 0, 5, 0)
    assert not batches
    ran = spocdb("ingest", folder, "--image-column", "image")
    assert ran.stderr == "5 images: 5 unchanged\n"
    ran = spocdb("ingest", folder, "--image-column", "picture")
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1
    assert "has no column 'picture': there are: image (struct<bytes: binary, path" in ran.stderr


def test_a_changed_file_is_read_again_and_pruned(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    photos = make_photos(4)
    file = packed(tmp_path / "a.parquet", photos)
    db.ingest(file, **recipe)
    packed(file, photos, ["0001.jpg", "0002.jpg"])
    progress = db.ingest(file, prune=True)
    # The bytes of both are known, so the network sees none.
    assert (counts(progress), progress.n_pruned) == ((0, 2, 0, 0), 2)
    assert {path: said["kind"] for path, said in stored(db).items()} == {
        f"{file}/image/0": "0001",
        f"{file}/image/1": "0002",
    }
    file.unlink()
    with pytest.raises(ConfigError, match=rf"nothing pruned: {file} is gone"):
        db.ingest(file, prune=True)
    assert db.ingest(file, photos, prune=True, prune_gone=True).n_moved == 2
    assert set(stored(db)) == {str(photo) for photo in photos.iterdir()}


def test_what_is_in_a_file_is_read_like_a_file(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    photos = make_photos(3)
    file = packed(tmp_path / "a.parquet", photos, row_group_size=2)
    db.ingest(file, **recipe, thumbnails=False)
    for image in db.images():
        assert db.read(image.id) == (photos / image.metadata["image_path"]).read_bytes()
        assert db.thumbnail(image.id)
    hit, *_ = db.search(photos / "0001.jpg", k=3)
    assert hit.path == f"{file}/image/1"
    db.reembed("mini", size=96)
    assert len(stored(db)) == 3


def test_a_broken_file_is_a_failure_until_it_is_mended(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    photos = make_photos(3)
    good = packed(tmp_path / "0.parquet", photos, ["0000.jpg"])
    broken = packed(tmp_path / "1.parquet", photos)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert counts(db.ingest(good, broken, **recipe)) == (1, 0, 0, 1)
    (failure,) = db.failures()
    assert failure.path == str(broken) and "damaged or cut off" in failure.message
    broken.write_bytes(whole)
    assert db.ingest(retry_failed=True).n_failed == 0
    assert len(stored(db)) == 4
    assert not list(db.failures())


@pytest.mark.slow
def test_killed_in_the_middle_of_a_file_it_goes_on(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, kill_ingest: Kill
) -> None:
    file = packed(tmp_path / "a.parquet", make_photos(60), row_group_size=25)
    n_before = kill_ingest(file, **recipe)
    assert 0 < n_before < 60
    assert counts(db.ingest(file, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert {path: said["kind"] for path, said in stored(db).items()} == {
        f"{file}/image/{n}": f"{n:04}" for n in range(60)
    }
