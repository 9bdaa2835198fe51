"""Tar archives behind URLs whose servers send no parts of files: read from front to back."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, ImageError
from spocdb.settings import from_environment
from spocdb.sources import far_files, far_urls
from spocdb.sources.archives import ArchivesSource
from spocdb.sources.source import Terms
from tests.fixtures.archived import pack, packed, read, shard
from tests.fixtures.buckets import serving
from tests.fixtures.file_site import FileSite
from tests.fixtures.ingested import counts, network
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.integration.test_far_archives import failures, stored

Make = Callable[..., Path]
Recipe = dict[str, Any]
ALLOWED = {"SPOCDB_ALLOW_PRIVATE": "1"}
BLOCK = 8192


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_files, "BLOCK", BLOCK)
    monkeypatch.setattr(far_urls, "PAUSES", (0.0, 0.0))


@pytest.fixture
def near(url: str, environment: dict[str, str]) -> Iterator[Database]:
    """Return the test's database, for which private addresses are allowed."""
    with Database(from_environment(url, environment | ALLOWED)) as near:
        yield near


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    (tmp_path / "site").mkdir()
    site = FileSite(tmp_path / "site")
    with serving(site):
        yield site


def contents(n: int, size: int = 5000) -> dict[str, bytes]:
    return {f"{i:04}.jpg": bytes([i % 251]) * size for i in range(n)}


def source_at(url: str, window: int = 2**20) -> ArchivesSource:
    return ArchivesSource([url], Terms(allow_private=True, window=window))


def test_they_are_ingested_once_and_not_asked_for_again(
    near: Database, recipe: Recipe, make_photos: Make, site: FileSite, tmp_path: Path
) -> None:
    photos = make_photos(6)
    names = sorted(photo.name for photo in photos.iterdir())
    shard(site.folder / "s-0.tar", photos, names[:2])
    shard(site.folder / "s-1.tar", photos, names[2:4])
    shard(site.folder / "s-2.tar.gz", photos, names[4:])
    urls = [site.url_of("s-{0..1}.tar"), site.url_of("s-2.tar.gz")]
    assert counts(near.ingest(*urls, **recipe)) == (6, 0, 0, 0)
    assert stored(near)[f"{site.url_of('s-1.tar')}/0003.jpg"] == {"kind": "0003"}
    # The listing and the reading meet in the window. Whether there is any image was asked before.
    assert Counter(site.whole) == {"/s-0.tar": 2, "/s-1.tar": 1, "/s-2.tar.gz": 1}
    for image in near.images():
        assert near.read(image.id) == (photos / Path(image.path).name).read_bytes()
    site.asked.clear()
    site.whole.clear()
    with network() as batches:
        assert counts(near.ingest(*urls)) == (0, 0, 6, 0)
    assert not batches and len(site.asked) == 3 and not site.whole


def test_lists_and_workers_open_them(
    near: Database, recipe: Recipe, make_photos: Make, site: FileSite, tmp_path: Path
) -> None:
    photos = make_photos(4)
    shard(site.folder / "a.tar", photos, ["0000.jpg", "0001.jpg"])
    shard(site.folder / "b.tar", photos, ["0002.jpg", "0003.jpg"])
    (tmp_path / "urls.txt").write_text(site.url_of("a.tar"))
    assert counts(near.ingest(urls_from=tmp_path / "urls.txt", **recipe)) == (2, 0, 0, 0)
    assert near.enqueue(site.url_of("b.tar"), collection="photos").n_enqueued == 1
    near.tables.work(once=True)
    assert {said["kind"] for said in stored(near).values()} == {f"{n:04}" for n in range(4)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_killed_in_the_middle_it_goes_on(
    near: Database,
    recipe: Recipe,
    make_photos: Make,
    site: FileSite,
    kill_ingest: Kill,
    name: str,
) -> None:
    shard(site.folder / name, make_photos(60))
    url = site.url_of(name)
    n_before = kill_ingest(url, env=ALLOWED, **recipe)
    assert 0 < n_before < 60
    assert counts(near.ingest(url, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert {said["kind"] for said in stored(near).values()} == {f"{n:04}" for n in range(60)}


def test_listing_and_reading_far_apart_ask_twice_and_keep_no_more_than_the_window(
    site: FileSite,
) -> None:
    members = contents(100)
    pack(site.folder / "a.tar", members)
    url = site.url_of("a.tar")
    source = source_at(url, window=0)
    found = read(source, [*source.refs()])
    assert {name.removeprefix(f"{url}/"): data for name, data in found.items()} == members
    assert len(site.whole) == 2
    assert len(source._containers._window._blocks) <= far_files.LEAST_BLOCKS < 500_000 // BLOCK


def test_members_of_several_blocks_are_passed_over_and_kept(site: FileSite) -> None:
    members = contents(4, size=5 * BLOCK + 7)
    pack(site.folder / "a.tar", members)
    assert [*read(source_at(site.url_of("a.tar"))).values()] == [*members.values()]
    assert len(site.whole) == 1


def test_a_stream_that_breaks_off_is_asked_for_again_and_goes_on(site: FileSite) -> None:
    members = contents(20)
    pack(site.folder / "a.tar", members)
    cuts = [30_000, 60_001]
    site.fault = lambda path: cuts.pop(0) if cuts else None
    # The first answer, to the question about the file, is not read.
    cuts.insert(0, 10_000)
    assert [*read(source_at(site.url_of("a.tar"))).values()] == [*members.values()]
    assert not cuts and len(site.whole) == 3


def test_a_stream_that_always_breaks_off_is_a_failure_until_it_does_not(
    near: Database, recipe: Recipe, make_photos: Make, site: FileSite
) -> None:
    size = shard(site.folder / "a.tar", make_photos(8)).stat().st_size
    url = site.url_of("a.tar")
    site.fault = lambda path: size // 2
    assert near.ingest(url, **recipe).n_failed == 1
    ((name, said),) = failures(near).items()
    assert name == url and said.startswith("cannot read the archive: ")
    n_before = len(stored(near))
    assert 0 < n_before < 8
    site.fault = lambda path: None
    assert counts(near.ingest(url)) == (8 - n_before, 0, n_before, 0)
    assert not failures(near) and len(stored(near)) == 8


def test_no_byte_of_another_version_is_used(site: FileSite) -> None:
    pack(site.folder / "a.tar", contents(20))

    def change(path: str) -> int | None:
        if len(site.whole) == 2:
            pack(site.folder / "a.tar", contents(3))
        return 50_000

    site.fault = change
    url = site.url_of("a.tar")
    source = source_at(url)
    found = read(source)
    assert str(found[url]) == "the archive was changed while it was read: ingest it again"
    site.fault = lambda path: None
    assert len(read(source)) == 3


@pytest.mark.parametrize("name", ["a.zip", "a.parquet"])
def test_what_is_read_in_parts_is_refused_in_one_line(
    site: FileSite, make_photos: Make, spocdb: Run, environment: dict[str, str], name: str
) -> None:
    environment |= ALLOWED
    photos = make_photos(1)
    make = packed if name == "a.parquet" else lambda path, folder: pack(path, {"a.jpg": b""})
    make(site.folder / name, photos)
    ran = spocdb("ingest", url := site.url_of(name))
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    said = f"cannot read {url}: its server does not send parts of files: download it first"
    assert said in ran.stderr


def test_a_size_may_be_unknown_but_not_the_version_too(site: FileSite) -> None:
    members = contents(20)
    pack(site.folder / "a.tar.gz", members)
    site.tells = ("date",)
    url = site.url_of("a.tar.gz")
    assert [*read(source_at(url)).values()] == [*members.values()]
    # A body that ends too soon is told by its end.
    site.fault = lambda path: 100
    assert isinstance(read(source_at(url))[url], ImageError)
    site.tells = ()
    with pytest.raises(ConfigError, match="neither its size, its date nor an ETag: download it"):
        source_at(url).refs()


def test_an_error_page_is_one_line(site: FileSite, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "a.tar").write_bytes(b"<html>")
    monkeypatch.setattr(site, "kind", "text/html")
    with pytest.raises(ConfigError, match="the answer is text/html, no archive"):
        source_at(site.url_of("a.tar")).refs()
