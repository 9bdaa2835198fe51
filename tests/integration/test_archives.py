"""Ingests of tar and zip archives: repeated, damaged, pruned, read again and killed."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.archived import shard
from tests.fixtures.ingested import counts, network
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> dict[str, dict[str, Any]]:
    return {image.path: image.metadata for image in db.images(collection="photos")}


def test_shards_are_ingested_once_with_their_metadata(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, spocdb: Run
) -> None:
    first, second = make_photos(3), make_photos(2, "second", seed=1)
    shards = [shard(tmp_path / "s-00.tar", first), shard(tmp_path / "s-01.tar", second)]
    progress = db.ingest(tmp_path / "s-{00..01}.tar", **recipe)
    assert counts(progress) == (5, 0, 0, 0)
    assert stored(db) == {
        f"{shard}/{n:04}.jpg": {"kind": f"{n:04}"}
        for shard, n_photos in zip(shards, (3, 2), strict=True)
        for n in range(n_photos)
    }
    with network() as batches:
        assert counts(db.ingest(*shards)) == (0, 0, 5, 0)
    assert not batches
    # Another name for the same bytes: the network does not see them again.
    shutil.copy(shards[0], tmp_path / "copy.tar")
    assert counts(db.ingest(tmp_path / "copy.tar")) == (0, 3, 0, 0)
    ran = spocdb("ingest", tmp_path / "s-{00..01}.tar")
    assert ran.stderr == "5 images: 5 unchanged\n"


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_changed_shard_is_read_again_and_a_moved_one_keeps_its_images(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, suffix: str
) -> None:
    photos = make_photos(4)
    archive = shard(tmp_path / f"a{suffix}", photos, ["0000.jpg", "0001.jpg"])
    db.ingest(archive, **recipe)
    ids = {image.path: image.id for image in db.images(collection="photos")}
    moved = archive.rename(tmp_path / f"b{suffix}")
    progress = db.ingest(moved)
    assert (counts(progress), progress.n_moved) == ((0, 2, 0, 0), 2)
    assert {image.path.replace("/b.", "/a."): image.id for image in db.images()} == ids
    shard(moved, photos, ["0001.jpg", "0002.jpg"])
    progress = db.ingest(moved, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 1, 0, 0), 1)
    assert set(stored(db)) == {f"{moved}/0001.jpg", f"{moved}/0002.jpg"}
    moved.unlink()
    with pytest.raises(ConfigError, match=rf"nothing pruned: {moved} is gone"):
        db.ingest(moved, prune=True)
    assert db.ingest(moved, photos, prune=True, prune_gone=True).n_pruned in (0, 2)
    assert not any(str(moved) in path for path in stored(db))


def test_what_is_in_an_archive_is_read_like_a_file(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    photos = make_photos(3)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for photo in sorted(photos.iterdir()):
            opened.write(photo, f"trip/{photo.name}")
    assert counts(db.ingest(archive, **recipe, thumbnails=False)) == (3, 0, 0, 0)
    for image in db.images():
        assert db.read(image.id) == (photos / Path(image.path).name).read_bytes()
        assert db.thumbnail(image.id)
    hit, *_ = db.search(photos / "0001.jpg", k=3)
    assert hit.path == f"{archive}/trip/0001.jpg"
    db.reembed("mini", size=96)
    with pytest.raises(ConfigError, match="no image"):
        db.move(archive / "trip" / "gone.jpg", archive / "x.jpg")
    assert db.delete(f"{archive}/trip/0000.jpg") == 1


def test_rows_of_a_metadata_file_name_members(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, caplog: Any
) -> None:
    archive = shard(tmp_path / "a.tar", make_photos(2))
    rows = tmp_path / "rows.csv"
    rows.write_text("path,year\na.tar/0000.jpg,1999\n0001.jpg,2000\n")
    with caplog.at_level("INFO", "spocdb"):
        db.ingest(archive, metadata=rows, **recipe)
    assert [said.get("year") for said in stored(db).values()] == [1999, 2000]
    assert "metadata: 2 rows read" in caplog.messages


def test_a_broken_shard_is_a_failure_until_it_is_mended(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, spocdb: Run
) -> None:
    photos = make_photos(3)
    good = shard(tmp_path / "0.tar", photos, ["0000.jpg"])
    broken = shard(tmp_path / "1.tar", photos)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    ran = spocdb("ingest", tmp_path / "{0..1}.tar", "--extractor=mini", "--size=64")
    assert ran.returncode == 3 and "failed" in ran.stderr
    failures = {f.path: f.message for f in db.failures()}
    assert "cut off" in failures[str(broken)]
    n_before = len(stored(db))
    assert n_before >= 2 and f"{good}/0000.jpg" in stored(db)
    # Neither it nor its images are read again until it changes.
    with network() as batches:
        assert db.ingest(good, broken).n_failed == len(failures)
    assert not batches
    broken.write_bytes(whole)
    assert db.ingest(retry_failed=True).n_failed == 0
    assert len(stored(db)) == 4
    assert not list(db.failures())


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_members_that_vanished_are_told_and_pruned(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, suffix: str
) -> None:
    photos = make_photos(4)
    archive = shard(tmp_path / f"a{suffix}", photos)
    db.ingest(archive, **recipe)
    shard(archive, photos, ["0001.jpg", "0003.jpg"])
    said = rf"2 images of photos .*{suffix}/0000\.jpg \(the archive has no such member any more\)"
    with pytest.raises(ConfigError, match=said):
        db.reembed("mini", size=96)
    assert db.ingest(archive, prune=True).n_pruned == 2
    db.reembed("mini", size=96)
    found = {Path(hit.path).name for hit in db.search(photos / "0001.jpg", k=9)}
    assert found == {"0001.jpg", "0003.jpg"}


def test_only_a_damaged_archive_makes_no_collection(
    db: Database, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(ConfigError, match=r"no images under .*a\.tar: left out 1 damaged archive$"):
        db.ingest(tmp_path / "a.tar", **recipe)
    assert db.collections() == []


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_killed_in_the_middle_of_a_shard_it_goes_on(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path, kill_ingest: Kill, suffix: str
) -> None:
    archive = shard(tmp_path / f"a{suffix}", make_photos(60))
    n_before = kill_ingest(archive, **recipe)
    assert 0 < n_before < 60
    assert counts(db.ingest(archive, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert stored(db) == {f"{archive}/{n:04}.jpg": {"kind": f"{n:04}"} for n in range(60)}
