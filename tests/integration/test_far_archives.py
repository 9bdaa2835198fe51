"""Ingests of archives and Parquet files in a bucket: repeated, changed, pruned, broken, killed."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, ImageVanished
from spocdb.sources import far_files, stores, walkers
from spocdb.sources.opening import opened
from spocdb.sources.source import locate
from tests.fixtures.archived import pack, packed, shard
from tests.fixtures.buckets import Bucket, Proxy
from tests.fixtures.ingested import counts, network
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> dict[str, dict[str, Any]]:
    return {image.path: image.metadata for image in db.images(collection="photos")}


def failures(db: Database) -> dict[str, str]:
    return {failure.path: failure.message for failure in db.failures()}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Ask for little at a time, so that a small archive has many blocks."""
    monkeypatch.setattr(far_files, "BLOCK", 8192)
    return 8192


def put(bucket: Bucket, file: Path) -> str:
    return bucket.put(file.name, file.read_bytes())


def test_shards_are_ingested_once_with_their_metadata(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path, spocdb: Run
) -> None:
    folders = [make_photos(3), make_photos(2, "second", seed=1)]
    for n, folder in enumerate(folders):
        put(bucket, shard(tmp_path / f"s-0{n}.tar", folder))
    progress = db.ingest(f"{bucket.uri}/s-{{00..01}}.tar", **recipe)
    assert counts(progress) == (5, 0, 0, 0)
    assert stored(db) == {
        f"{bucket.uri}/s-0{n}.tar/{photo.name}": {"kind": photo.stem}
        for n, folder in enumerate(folders)
        for photo in folder.iterdir()
    }
    with network() as batches:
        assert counts(db.ingest(f"{bucket.uri}/*.tar")) == (0, 0, 5, 0)
    assert not batches
    for image in db.images():
        folder = folders["s-01" in image.path]
        assert db.read(image.id) == (folder / Path(image.path).name).read_bytes()
    # In a prefix they are counted, as in a folder.
    bucket.put("0000.jpg", (folders[0] / "0000.jpg").read_bytes())
    ran = spocdb("ingest", bucket.uri)
    assert "left out: 2 .tar (name it to read it)" in ran.stderr
    with pytest.raises(ConfigError, match=rf"no object matches {bucket.uri}/\*.zip"):
        db.ingest(f"{bucket.uri}/*.zip")
    with pytest.raises(ConfigError, match=rf"cannot read {bucket.uri}/s-02.tar: there is no such"):
        db.ingest(f"{bucket.uri}/s-{{00..02}}.tar")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip"])
def test_the_bytes_of_an_archive_are_asked_for_once(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    small_blocks: int,
    name: str,
) -> None:
    photos = make_photos(30)
    contents = {f"trip/{photo.name}": photo.read_bytes() for photo in photos.iterdir()}
    archive = pack(tmp_path / name, contents)
    uri = put(bucket, archive)
    assert counts(db.ingest(uri, **recipe)) == (30, 0, 0, 0)
    assert {Path(path).name for path in stored(db)} == {photo.name for photo in photos.iterdir()}
    n_blocks = -(-archive.stat().st_size // small_blocks)
    # More than are asked for ahead.
    assert n_blocks > 6 and proxy.n_asked("GET", name) <= n_blocks
    for image in db.images():
        assert db.read(image.id) == (photos / Path(image.path).name).read_bytes()


def test_a_changed_archive_is_read_again_and_pruned(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    photos = make_photos(4)
    uri = put(bucket, shard(tmp_path / "a.tar", photos, ["0000.jpg", "0001.jpg"]))
    db.ingest(uri, **recipe)
    put(bucket, shard(tmp_path / "a.tar", photos, ["0001.jpg", "0002.jpg"]))
    progress = db.ingest(uri, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 1, 0, 0), 1)
    assert set(stored(db)) == {f"{uri}/0001.jpg", f"{uri}/0002.jpg"}
    bucket.delete("a.tar")
    with pytest.raises(ConfigError, match=rf"nothing pruned: {uri} is gone"):
        db.ingest(uri, prune=True)
    other = put(bucket, shard(tmp_path / "b.tar", photos, ["0003.jpg"]))
    assert db.ingest(uri, other, prune=True, prune_gone=True).n_pruned == 2
    assert set(stored(db)) == {f"{other}/0003.jpg"}


def test_files_of_parquet_are_ingested_like_local_ones(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    photos = make_photos(4)
    files = [
        packed(tmp_path / f"train-{n}.parquet", photos, names, row_group_size=1)
        for n, names in enumerate((["0000.jpg", "0001.jpg"], ["0002.jpg", "0003.jpg"]))
    ]
    for file in files:
        bucket.put(f"data/{file.name}", file.read_bytes())
    bucket.put("data/README.md", b"text")
    progress = db.ingest(f"{bucket.uri}/data", **recipe)
    assert counts(progress) == (4, 0, 0, 0) and dict(progress.left_out) == {".md": 1}
    uri = f"{bucket.uri}/data/train-1.parquet"
    assert stored(db)[f"{uri}/image/1"] == {"image_path": "0003.jpg", "kind": "0003"}
    for image in db.images():
        assert db.read(image.id) == (photos / image.metadata["image_path"]).read_bytes()
    proxy.asked.clear()
    assert counts(db.ingest(f"{bucket.uri}/data/*.parquet", image_column="image")) == (0, 0, 4, 0)
    # The ends of both files.
    assert proxy.n_asked("GET", "train-") == 2
    bucket.put("data/train-1.parquet", files[0].read_bytes())
    bucket.delete("data/train-0.parquet")
    progress = db.ingest(f"{bucket.uri}/data", prune=True)
    assert (counts(progress), progress.n_pruned) == ((0, 2, 0, 0), 2)
    assert {said["kind"] for said in stored(db).values()} == {"0000", "0001"}


def test_rows_may_name_objects_beside_their_file(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    bucket.put_all(make_photos(2))
    names = ["0000.jpg", "0001.jpg", "../0000.jpg", "s3://elsewhere/a.jpg"]
    parquet.write_table(pa.table({"file_name": names}), tmp_path / "rows.parquet")
    uri = put(bucket, tmp_path / "rows.parquet")
    assert counts(db.ingest(uri, **recipe)) == (2, 0, 0, 2)
    assert list(failures(db).values()) == [
        "a key with an empty part, or one that is . or .., cannot be read",
        f"the URI is not below {bucket.uri}",
    ]


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.parquet"])
def test_what_changes_or_vanishes_while_it_is_read_is_a_failure_until_the_next_ingest(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    small_blocks: int,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    # One request after the other, so that the third asks for the same bytes each time.
    monkeypatch.setattr(far_files, "AHEAD", 0)
    photos = make_photos(6)
    contents = {photo.name: photo.read_bytes() for photo in sorted(photos.iterdir())}

    def made(names: list[str]) -> bytes:
        if name.endswith(".parquet"):
            return packed(tmp_path / name, photos, names, row_group_size=1).read_bytes()
        return pack(tmp_path / name, {name: contents[name] for name in names}).read_bytes()

    uri = bucket.put(name, made([*contents]))
    again = made([*contents][1:])

    def at_the_third_request(change: Callable[[], object]) -> Callable[[str], None]:
        # The first ones ask for the version, and for the beginning or the end.
        asked = count()

        def fault(path: str) -> None:
            if path.endswith(name) and next(asked) == 2:
                change()

        return fault

    db.ingest(make_photos(1, "local", seed=1), **recipe)
    proxy.fault = at_the_third_request(lambda: bucket.put(name, again))
    db.ingest(uri)
    assert any("was changed while it was read: ingest it again" in s for s in failures(db).values())
    proxy.fault = at_the_third_request(lambda: bucket.delete(name))
    db.ingest(uri, retry_failed=True)
    assert any("there is no such object" in said for said in failures(db).values())
    proxy.fault = lambda path: None
    bucket.put(name, again)
    progress = db.ingest(uri, retry_failed=True, prune=True)
    assert progress.n_failed == 0 and not failures(db) and len(stored(db)) == 6


def test_a_broken_archive_is_a_failure_until_it_is_mended(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    photos = make_photos(3)
    archive, file = shard(tmp_path / "a.tar", photos), packed(tmp_path / "b.parquet", photos)
    uris = [
        bucket.put(one.name, one.read_bytes()[: one.stat().st_size // 2]) for one in (archive, file)
    ]
    db.ingest(*uris, **recipe)
    said = failures(db)
    assert all("damaged or cut off" in said[uri] for uri in uris)
    assert 0 < len(stored(db)) < 3
    for one in (archive, file):
        put(bucket, one)
    assert db.ingest(*uris).n_failed == 0
    assert not failures(db) and len(stored(db)) == 6


def test_throttling_is_waited_for_and_then_a_failure(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_blocks: int,
) -> None:
    monkeypatch.setattr(stores, "RETRIES", 1)
    uri = put(bucket, shard(tmp_path / "a.tar", make_photos(6)))
    faults: list[int | str] = [503, "cut"]
    proxy.fault = lambda path: (
        faults.pop(0) if faults and proxy.n_asked("GET", "a.tar") % 3 == 2 else None
    )
    assert counts(db.ingest(uri, **recipe)) == (6, 0, 0, 0) and not faults
    put(bucket, shard(tmp_path / "a.tar", make_photos(7, "others", seed=1)))
    proxy.asked.clear()
    proxy.fault = lambda path: 503 if proxy.n_asked("GET", "a.tar") > 3 else None
    db.ingest(uri)
    assert failures(db)[uri] == "cannot read the archive: HTTP 503"
    proxy.fault = lambda path: 503
    with pytest.raises(ConfigError, match=rf"cannot read {uri}: HTTP 503"):
        db.ingest(uri, prune=True, prune_gone=True)
    proxy.fault = lambda path: None
    assert db.ingest(uri, retry_failed=True).n_failed == 0
    assert len(stored(db)) == 7 and not failures(db)


def test_a_storage_that_is_back_is_asked_again(
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_blocks: int,
) -> None:
    monkeypatch.setattr(stores, "RETRIES", 0)
    photos = make_photos(12)
    uri = put(bucket, shard(tmp_path / "a.tar", photos))
    # As a server holds it, that shows pictures for days.
    source = opened([])
    assert locate(source, f"{uri}/0000.jpg")(10**6)
    proxy.fault = lambda path: 503
    for _ in range(2):
        with pytest.raises(ImageVanished, match="cannot read the archive: HTTP 503"):
            locate(source, f"{uri}/0011.jpg")
    proxy.fault = lambda path: None
    with pytest.raises(ImageVanished, match="cannot read the archive: HTTP 503"):
        locate(source, f"{uri}/0011.jpg")
    monkeypatch.setattr(walkers, "TRIED_AFTER", -1.0)
    for _ in range(2):
        assert locate(source, f"{uri}/0011.jpg")(10**6) == (photos / "0011.jpg").read_bytes()
    with pytest.raises(ImageVanished, match="no such member"):
        locate(source, f"{uri}/0012.jpg")


def test_wrong_credentials_are_one_line(
    bucket: Bucket, environment: dict[str, str], spocdb: Run
) -> None:
    for name in ("a.tar", "a.parquet"):
        bucket.put(name, b"bytes")
    environment["AWS_SECRET_ACCESS_KEY"] = "hunter2"
    for name in ("a.tar", "a.parquet", "*.tar", ""):
        ran = spocdb("ingest", f"{bucket.uri}/{name}")
        assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
        assert "access is denied (HTTP 403" in ran.stderr and "hunter2" not in ran.stderr


def test_workers_open_archives_and_read_rows(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    photos = make_photos(4)
    put(bucket, shard(tmp_path / "a.tar", photos, ["0000.jpg", "0001.jpg"]))
    put(bucket, packed(tmp_path / "b.parquet", photos, ["0002.jpg", "0003.jpg"]))
    uris = f"{bucket.uri}/a.tar", f"{bucket.uri}/b.parquet"
    assert db.enqueue(*uris, **recipe).n_enqueued == 3
    db.tables.work(once=True)
    assert {said["kind"] for said in stored(db).values()} == {f"{n:04}" for n in range(4)}
    assert counts(db.ingest(*uris)) == (0, 0, 4, 0)


def test_memory_does_not_grow_with_an_archive(small_blocks: int) -> None:
    window, n_bytes = far_files.Window(0), 0
    for n in range(1000):
        n_bytes += len(window.block(("s3://b/a", "1", n), 1000, lambda n: b"%05d" % n))
    assert n_bytes == 5000 and len(window._blocks) <= far_files.LEAST_BLOCKS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.parquet"])
def test_killed_in_the_middle_it_goes_on(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    tmp_path: Path,
    kill_ingest: Kill,
    name: str,
) -> None:
    make = packed if name.endswith(".parquet") else shard
    uri = put(bucket, make(tmp_path / name, make_photos(60)))
    n_before = kill_ingest(uri, **recipe)
    assert 0 < n_before < 60
    assert counts(db.ingest(uri, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert {said["kind"] for said in stored(db).values()} == {f"{n:04}" for n in range(60)}
