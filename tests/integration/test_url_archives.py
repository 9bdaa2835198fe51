"""Ingests of archives and Parquet files behind URLs: by ranges, from a real server of files."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from spocdb.errors import ConfigError
from spocdb.settings import from_environment
from spocdb.sources import far_files, far_urls
from tests.fixtures.archived import pack, packed, shard
from tests.fixtures.buckets import Bucket, Proxy, url_of
from tests.fixtures.ingested import counts, network
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.integration.test_far_archives import failures, put, stored

Make = Callable[..., Path]
Recipe = dict[str, Any]
ALLOWED = {"SPOCDB_ALLOW_PRIVATE": "1"}


@pytest.fixture
def near(
    url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """Return the test's database, for which private addresses are allowed and blocks are small."""
    monkeypatch.setattr(far_files, "BLOCK", 8192)
    monkeypatch.setattr(far_urls, "PAUSES", (0.0, 0.0))
    with Database(from_environment(url, environment | ALLOWED)) as near:
        yield near


def packed_as(name: str, folder: Path, photos: Path) -> Path:
    """Pack all photos into an archive, or a Parquet file of a group a row, of this name."""
    if name.endswith(".parquet"):
        return packed(folder / name, photos, row_group_size=1)
    contents = {photo.name: photo.read_bytes() for photo in sorted(photos.iterdir())}
    return pack(folder / name, contents)


@pytest.fixture
def none_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks come only when they are read, so that none comes after the last image."""
    monkeypatch.setattr(far_files, "AHEAD", 0)


@pytest.mark.usefixtures("none_ahead")
def test_what_is_packed_is_ingested_once_with_its_metadata(
    near: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, site: Proxy, tmp_path: Path
) -> None:
    photos = make_photos(8)
    names = sorted(photo.name for photo in photos.iterdir())
    contents = {name: (photos / name).read_bytes() for name in names}
    put(bucket, shard(tmp_path / "s-00.tar", photos, names[:2]))
    put(bucket, shard(tmp_path / "s-01.tar", photos, names[2:4]))
    put(bucket, pack(tmp_path / "b.zip", {f"trip/{n}": contents[n] for n in names[4:6]}))
    put(bucket, packed(tmp_path / "c.parquet", photos, names[6:], row_group_size=1))
    urls = [url_of(site, bucket, name) for name in ("s-{00..01}.tar", "b.zip", "c.parquet")]
    assert counts(near.ingest(*urls, **recipe)) == (8, 0, 0, 0)
    found = stored(near)
    assert found[f"{url_of(site, bucket, 's-01.tar')}/0002.jpg"] == {"kind": "0002"}
    assert f"{urls[1]}/trip/0004.jpg" in found
    assert found[f"{urls[2]}/image/1"] == {"image_path": "0007.jpg", "kind": "0007"}
    for image in near.images():
        name = image.metadata.get("image_path") or Path(image.path).name
        assert near.read(image.id) == contents[name]
    site.asked.clear()
    with network() as batches:
        assert counts(near.ingest(*urls)) == (0, 0, 8, 0)
    assert not batches
    # One question about each, and the end of the Parquet file.
    assert site.n_asked("GET") == 5


def test_the_bytes_of_an_archive_are_asked_for_once(
    near: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, site: Proxy, tmp_path: Path
) -> None:
    archive = shard(tmp_path / "a.tar", make_photos(30))
    put(bucket, archive)
    assert near.ingest(url_of(site, bucket, "a.tar"), **recipe).n_new == 30
    n_blocks = -(-archive.stat().st_size // 8192)
    assert n_blocks > 8 and site.n_asked("GET", "a.tar") <= n_blocks + 1


def test_a_changed_archive_is_read_again_and_pruned(
    near: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, site: Proxy, tmp_path: Path
) -> None:
    photos, url = make_photos(3), url_of(site, bucket, "a.tar")
    put(bucket, shard(tmp_path / "a.tar", photos, ["0000.jpg", "0001.jpg"]))
    near.ingest(url, **recipe)
    put(bucket, shard(tmp_path / "a.tar", photos, ["0001.jpg", "0002.jpg"]))
    progress = near.ingest(url, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 1, 0, 0), 1)
    assert set(stored(near)) == {f"{url}/0001.jpg", f"{url}/0002.jpg"}
    bucket.delete("a.tar")
    with pytest.raises(ConfigError, match=rf"cannot read {url}: HTTP 404 Not Found"):
        near.ingest(url)
    with pytest.raises(ConfigError, match=rf"nothing pruned: {url} is gone"):
        near.ingest(url, prune=True)


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.parquet"])
def test_images_behind_a_server_that_does_not_answer_are_neither_pruned_nor_moved(
    near: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    site: Proxy,
    tmp_path: Path,
    name: str,
) -> None:
    photos, url = make_photos(3), url_of(site, bucket, name)
    put(bucket, packed_as(name, tmp_path, photos))
    near.ingest(url, **recipe)
    members = sorted(stored(near))
    site.fault = lambda path: 503
    site.asked.clear()
    # As single images, so that nothing lists the archive before.
    assert near.ingest(*members, prune=True).n_pruned == 0
    # It is not asked again for each of its images: three times, with pauses between them.
    assert site.n_asked("GET") == 3
    with Database(from_environment(near.url, {})) as refused:
        # Nor where its address is refused.
        assert refused.ingest(*members, prune=True).n_pruned == 0
    assert near.ingest(photos).n_moved == 0
    assert set(members) <= set(stored(near)) and len(stored(near)) == 6


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.parquet"])
def test_what_fails_in_the_middle_is_asked_for_again_and_then_a_failure(
    near: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    site: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    # One request after the other, so that the faults meet the same bytes each time.
    monkeypatch.setattr(far_files, "AHEAD", 0)
    photos, url = make_photos(6), url_of(site, bucket, name)
    file = packed_as(name, tmp_path, photos)
    put(bucket, file)
    faults: list[int | str] = ["cut", 503]
    asked = count()
    site.fault = lambda path: faults.pop() if next(asked) > 1 and faults else None
    assert counts(near.ingest(url, **recipe)) == (6, 0, 0, 0) and not faults
    put(bucket, packed(tmp_path / name, photos) if name.endswith(".parquet") else file)
    near.delete(*[image.id for image in near.images()])
    asked = count()

    def vanish(path: str) -> None:
        if next(asked) == 2:
            bucket.delete(name)

    site.fault = vanish
    near.ingest(url)
    assert any("HTTP 404 Not Found" in said for said in failures(near).values())
    site.fault = lambda path: None
    put(bucket, file)
    assert near.ingest(url, retry_failed=True).n_failed == 0
    assert not failures(near) and len(stored(near)) == 6


def test_no_byte_of_another_version_is_used(
    near: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    site: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(far_files, "AHEAD", 0)
    photos, url = make_photos(8), url_of(site, bucket, "a.tar")
    put(bucket, shard(tmp_path / "a.tar", photos))
    asked = count()

    def change(path: str) -> None:
        if next(asked) == 2:
            put(bucket, shard(tmp_path / "a.tar", photos, ["0000.jpg"]))

    site.fault = change
    near.ingest(url, **recipe)
    said = "the archive was changed while it was read: ingest it again"
    assert said in failures(near).values()
    site.fault = lambda path: None
    near.ingest(url, prune=True)
    assert not failures(near) and set(stored(near)) == {f"{url}/0000.jpg"}


def test_rows_name_files_beside_theirs(
    near: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, site: Proxy, tmp_path: Path
) -> None:
    bucket.put("in/a b.jpg", (make_photos(1) / "0000.jpg").read_bytes())
    names = ["a b.jpg", "../secret.jpg", "/secret.jpg", "s3://photos/a.jpg"]
    parquet.write_table(pa.table({"file_name": names}), tmp_path / "rows.parquet")
    bucket.put("in/rows.parquet", (tmp_path / "rows.parquet").read_bytes())
    folder = url_of(site, bucket, "in")
    assert counts(near.ingest(f"{folder}/rows.parquet", **recipe)) == (1, 0, 0, 3)
    assert set(failures(near).values()) == {f"the path leads out of {folder}"}


@pytest.mark.usefixtures("none_ahead")
def test_lists_and_workers_open_them(
    near: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, site: Proxy, tmp_path: Path
) -> None:
    photos = make_photos(4)
    for n in range(2):
        names = [f"{2 * n:04}.jpg", f"{2 * n + 1:04}.jpg"]
        put(bucket, shard(tmp_path / f"s-{n}.tar", photos, names))
    urls = [url_of(site, bucket, f"s-{n}.tar") for n in range(2)]
    (tmp_path / "urls.txt").write_text(f"{urls[0]}\n")
    assert counts(near.ingest(urls_from=tmp_path / "urls.txt", **recipe)) == (2, 0, 0, 0)
    # One member by its name.
    member = f"{urls[1]}/0003.jpg"
    assert near.ingest(member, collection="single", **recipe).n_new == 1
    # As any URL, it is not asked for again once it is stored.
    site.asked.clear()
    assert counts(near.ingest(member, collection="single")) == (0, 0, 1, 0) and not site.asked
    ((image,),) = [[*near.images(collection="single")]]
    assert near.read(image.id) == (photos / "0003.jpg").read_bytes()
    put(bucket, packed(tmp_path / "c.parquet", photos, ["0001.jpg", "0002.jpg"]))
    row = f"{url_of(site, bucket, 'c.parquet')}/image/1"
    assert near.preview(row, urls[0], collection="single").n_new > 1
    assert counts(near.ingest(row, collection="single")) == (1, 0, 0, 0)
    assert counts(near.ingest(row, collection="single")) == (0, 0, 1, 0)
    assert near.enqueue(urls[1], collection="photos").n_enqueued == 1
    near.tables.work(once=True)
    assert {said["kind"] for said in stored(near).values()} == {f"{n:04}" for n in range(4)}


def test_addresses_that_are_not_public_are_one_line(
    bucket: Bucket, site: Proxy, spocdb: Run, environment: dict[str, str]
) -> None:
    bucket.put("a.zip", b"no archive")
    for name in ("a.zip", "a.parquet"):
        ran = spocdb("ingest", url_of(site, bucket, name))
        assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
        assert "which is not public: set SPOCDB_ALLOW_PRIVATE=1 if that is meant" in ran.stderr
    assert not site.asked
    environment |= ALLOWED
    ran = spocdb("ingest", url_of(site, bucket, "a.zip"))
    assert "there are no images under" in ran.stderr and "1 damaged archive" in ran.stderr


def test_passwords_are_not_stored(
    near: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    secret = "https://me:hunter2@photos.example/a.tar"
    bucket_secret = "s3://AKIAEXAMPLE:hunter2@photos/a.tar"
    (tmp_path / "names").write_text(f"{secret}\n{bucket_secret}\n{make_photos(1)}/0000.jpg\n")
    (tmp_path / "urls").write_text(f"{secret}\n")
    progress = near.ingest(names_from=tmp_path / "names", urls_from=tmp_path / "urls", **recipe)
    assert progress.n_new == 1
    said = failures(near)
    assert set(said) == {"https://photos.example/a.tar", "s3://photos/a.tar"}
    assert "hunter2" not in str(said)
