"""Unchanged archives of which all is stored are not opened; all others are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.archived import pack, shard
from tests.fixtures.buckets import Bucket, Proxy
from tests.fixtures.ingested import counts
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]


def overwrite(archive: Path) -> None:
    """Put bytes that are no archive in its place, with its time and size."""
    found = archive.stat()
    archive.write_bytes(b"x" * found.st_size)
    os.utime(archive, ns=(found.st_atime_ns, found.st_mtime_ns))


def names(db: Database) -> set[str]:
    return {Path(image.path).name for image in db.images(collection="photos")}


@pytest.fixture
def archive(db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path) -> Path:
    """Return an archive of three pictures, one broken one and a text, which is stored."""
    photos = make_photos(3)
    contents = {photo.name: photo.read_bytes() for photo in sorted(photos.iterdir())}
    archive = pack(tmp_path / "a.tar", contents | {"bad.jpg": b"no image", "notes.md": b"text"})
    assert counts(db.ingest(archive, **recipe)) == (3, 0, 0, 1)
    return archive


def test_an_unchanged_archive_is_not_opened(db: Database, archive: Path, spocdb: Run) -> None:
    whole = archive.read_bytes()
    overwrite(archive)
    for _ in range(2):
        progress = db.ingest(archive, prune=True)
        assert (counts(progress), progress.n_pruned) == ((0, 0, 3, 1), 0)
        assert dict(progress.left_out) == {".md": 1} and progress.n_seen == 4
    ran = spocdb("ingest", archive, "--dry-run")
    assert "would read 0 files of 4, 3 unchanged, 1 failed before\n" in ran.stdout
    # A failure is tried again, and its archive opened for it.
    assert {f.path for f in db.failures()} == {f"{archive}/bad.jpg"}
    db.ingest(archive, retry_failed=True)
    assert str(archive) in {f.path for f in db.failures()}
    version = archive.stat()
    archive.write_bytes(whole)
    os.utime(archive, ns=(version.st_atime_ns, version.st_mtime_ns))
    assert counts(db.ingest(archive, retry_failed=True)) == (0, 0, 3, 1)
    assert {f.path for f in db.failures()} == {f"{archive}/bad.jpg"}


def test_what_is_missing_is_read_again(db: Database, archive: Path) -> None:
    db.delete(f"{archive}/0001.jpg")
    assert counts(db.ingest(archive)) == (0, 1, 2, 1)
    db.connection.execute("DELETE FROM spocdb.failures")
    assert counts(db.ingest(archive)) == (0, 0, 3, 1)
    assert counts(db.ingest(archive, exif=True)) == (0, 3, 0, 1)
    # Members of another kind may be images by now: the format of a package that was installed.
    db.connection.execute("UPDATE spocdb.listed_archives SET left_out = '{\".jpg\": 1}'")
    overwrite(archive)
    db.ingest(archive)
    assert str(archive) in {f.path for f in db.failures()}


def test_what_an_archive_has_no_more_is_pruned_later_too(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    photos = make_photos(3)
    archive = shard(tmp_path / "a.tar", photos, ["0000.jpg", "0001.jpg"])
    other = shard(tmp_path / "b.tar", photos, ["0002.jpg"])
    db.ingest(archive, other, **recipe)
    shard(archive, photos, ["0001.jpg"])
    assert counts(db.ingest(archive, other)) == (0, 1, 1, 0)
    assert names(db) == {"0000.jpg", "0001.jpg", "0002.jpg"}
    assert db.ingest(archive, other, prune=True).n_pruned == 1
    assert names(db) == {"0001.jpg", "0002.jpg"}
    overwrite(archive)
    assert counts(db.ingest(archive, other, prune=True)) == (0, 0, 2, 0)
    archive.unlink()
    db.ingest(archive, other, prune=True, prune_gone=True)
    kept = db.connection.execute("SELECT path, n_images FROM spocdb.listed_archives").fetchall()
    assert kept == [(str(other), 1)]


def test_workers_note_what_they_opened(db: Database, archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.tar"
    archive.rename(other)
    assert db.enqueue(other).n_enqueued == 1
    db.tables.work(once=True)
    progress = db.enqueue(other)
    assert (progress.n_enqueued, progress.n_unchanged, progress.n_failed) == (0, 3, 1)
    overwrite(other)
    assert counts(db.ingest(other)) == (0, 0, 3, 1)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_unchanged_archives_of_a_bucket_are_not_read(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    suffix: str,
) -> None:
    photos = make_photos(4)
    for n in range(2):
        file = shard(tmp_path / f"{n}{suffix}", photos, [f"{n:04}.jpg", "0003.jpg"])
        bucket.put(file.name, file.read_bytes())
    uris = f"{bucket.uri}/{{0..1}}{suffix}"
    assert counts(db.ingest(uris, **recipe)) == (3, 1, 0, 0)
    proxy.asked.clear()
    assert counts(db.ingest(uris)) == (0, 0, 4, 0)
    assert (proxy.n_asked("GET"), proxy.n_asked("HEAD")) == (0, 2)
    file = shard(tmp_path / f"0{suffix}", photos, ["0002.jpg", "0003.jpg"])
    bucket.put(file.name, file.read_bytes())
    progress = db.ingest(uris, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 1, 2, 0), 1)
