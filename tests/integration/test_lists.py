"""Ingests of lists: names on stdin, and URLs in files."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from spocdb.settings import from_environment
from spocdb.sources import hosts, lists
from spocdb.sources.lists import Listed
from spocdb.sources.opening import opened
from spocdb.sources.source import Terms
from spocdb.sources.urls import UrlsSource, ref_of
from tests.fixtures.buckets import serving
from tests.fixtures.ingested import counts
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]
ALLOWED = {"SPOCDB_ALLOW_PRIVATE": "1"}


class Site(ThreadingHTTPServer):
    """A web server of the files in a folder, which counts requests and how many run at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked = folder, Counter[str]()
        self.at_once = self.most_at_once = 0
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        with self.server.counting:
            self.server.asked[self.path] += 1
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            data = (self.server.folder / self.path[1:]).read_bytes()
            # It ends before the client has the last byte, which begins the next request.
            with self.server.counting:
                self.server.at_once -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except FileNotFoundError:
            with self.server.counting:
                self.server.at_once -= 1
            self.send_error(503, "Slow Down")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(make_photos: Make) -> Iterator[Site]:
    site = Site(make_photos(6, "site"))
    with serving(site):
        yield site


@pytest.fixture
def near(url: str, environment: dict[str, str]) -> Iterator[Database]:
    """Return the test's database, for which private addresses are allowed."""
    with Database(from_environment(url, environment | ALLOWED)) as near:
        yield near


def listed(file: Path, text: str | bytes, *, only_urls: bool = False) -> list[str]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(Listed(file, only_urls).names())


def test_names_stand_in_lines_or_between_nul(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lists, "BLOCK", 7)
    file, here = tmp_path / "list", str(tmp_path)
    assert listed(file, "a.jpg\r\n\n /b c.jpg\nhttps://x/y.jpg \n/z") == [
        f"{here}/a.jpg",
        f"{here}/ /b c.jpg",
        "https://x/y.jpg",
        "/z",
    ]
    assert listed(file, "/a\nb\0/c\0/last") == ["/a\nb", "/c", "/last"]
    assert listed(file, b"/caf\xe9\n") == ["/caf\udce9"]
    assert listed(file, "") == []
    monkeypatch.setattr(lists, "LONGEST", 20)
    with pytest.raises(ConfigError, match="is no list of names: one has over 20 bytes"):
        listed(file, "x" * 100)
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        list(Listed(tmp_path / "gone").names())


def test_a_picture_is_no_list_of_urls(
    near: Database, recipe: Recipe, make_photos: Make, spocdb: Run
) -> None:
    photo = make_photos(1) / "0000.jpg"
    near.ingest(photo, **recipe)
    done = spocdb("ingest", "--urls-from", photo)
    line = f"spocdb: {photo} is no list of URLs: give a text in UTF-8, a URL in each line\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
    assert not list(near.failures())


def test_a_csv_has_a_column_of_urls(tmp_path: Path) -> None:
    file = tmp_path / "urls.csv"
    assert listed(file, "id;url\n1;http://x/1\n2;\n3;http://x/3\n") == ["http://x/1", "http://x/3"]
    with pytest.raises(ConfigError, match="has no column `url`"):
        listed(file, "id,link\n1,2\n")


def test_paths_archives_and_urls_may_be_listed_together(
    near: Database, recipe: Recipe, make_photos: Make, site: Site, tmp_path: Path
) -> None:
    photos = make_photos(2, seed=1)
    names = [photos / "0000.jpg", photos / "gone.jpg", f"{site.url}/0001.jpg", photos / "0000.jpg"]
    file = tmp_path / "names"
    file.write_text("\n".join(map(str, names)))
    progress = near.ingest(names_from=file, **recipe)
    assert counts(progress) == (2, 0, 0, 1)
    assert dict(progress.left_out) == {"repeated name": 1}
    assert {i.path for i in near.images()} == {str(photos / "0000.jpg"), f"{site.url}/0001.jpg"}
    # What a given folder covers is listed once.
    progress = near.ingest(photos, names_from=file)
    assert counts(progress) == (1, 0, 2, 0)


def test_names_are_read_from_stdin(spocdb: Run, make_photos: Make, tmp_path: Path) -> None:
    photos = make_photos(3)
    names = "\0".join(str(photos / f"{n:04}.jpg") for n in range(2))
    done = spocdb("ingest", "-", "--extractor=mini", "--size=64", input=names)
    assert done.returncode == 0, done.stderr
    assert "2 images: 2 new" in done.stderr
    done = spocdb("ingest", "-", "--dry-run", input=f"{photos / '0002.jpg'}\n")
    assert done.stdout == "would read 1 file of 1, 0 unchanged, 0 failed before\n"
    done = spocdb("ingest", "-", "-c", "new", input="\n")
    assert (done.returncode, "there are no images under" in done.stderr) == (1, True)


def test_urls_are_fetched_once_and_failures_when_asked(
    near: Database, recipe: Recipe, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "urls.txt"
    urls = [f"{site.url}/{n:04}.jpg" for n in range(4)]
    lines = [*urls, f"{site.url}/gone.jpg", "/etc/passwd", "ftp://x/y.jpg", "http://u:secret@x/z"]
    file.write_text("\n".join(lines))
    assert counts(near.ingest(urls_from=file, **recipe)) == (4, 0, 0, 4)
    failures = {failure.path: failure.message for failure in near.failures()}
    assert failures == {
        f"{site.url}/gone.jpg": "cannot fetch: HTTP 503 Slow Down",
        "/etc/passwd": "not a URL of http or https",
        "ftp://x/y.jpg": "not a URL of http or https",
        "http://x/z": "a URL with a password is not stored",
    }
    assert counts(near.ingest(urls_from=file)) == (0, 0, 4, 4)
    assert set(site.asked.values()) == {1}
    (site.folder / "gone.jpg").write_bytes((site.folder / "0004.jpg").read_bytes())
    assert counts(near.ingest(urls_from=file, retry_failed=True)) == (1, 0, 4, 3)
    assert counts(near.ingest(f"{site.url}/0005.jpg", f"{site.url}/0000.jpg")) == (1, 0, 1, 0)
    # A list does not decide what is pruned.
    assert near.ingest(urls_from=file, prune=True, prune_gone=True).n_pruned == 0
    for image in near.images():
        assert near.read(image.id).startswith(b"\xff\xd8")


def test_other_uris_among_names_fail_without_their_passwords(
    near: Database, recipe: Recipe, tmp_path: Path
) -> None:
    file = tmp_path / "names.txt"
    file.write_text("ftp://u:secret@x/y.jpg\nfile:///a.jpg\n")
    assert counts(near.ingest(names_from=file, **recipe)) == (0, 0, 0, 2)
    failures = {failure.path: failure.message for failure in near.failures()}
    reason = "not a URL of http or https"
    assert failures == {"...@x/y.jpg": reason, "file:///a.jpg": reason}


def test_a_missing_list_is_one_line(spocdb: Run) -> None:
    done = spocdb("ingest", "--urls-from", "missing.txt")
    line = "spocdb: cannot read missing.txt: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_private_addresses_are_refused_unless_allowed(
    db: Database, recipe: Recipe, site: Site, tmp_path: Path
) -> None:
    assert db.ingest(f"{site.url}/0000.jpg", **recipe).n_failed == 1
    (failure,) = db.failures()
    assert failure.message == (
        "127.0.0.1 is at 127.0.0.1, which is not public: set SPOCDB_ALLOW_PRIVATE=1 if that is "
        "meant"
    )
    assert not site.asked


def test_a_host_is_asked_for_a_few_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST_A_HOST", 2)
    source = UrlsSource([f"{site.url}/{n:04}.jpg" for n in range(6)], Terms(allow_private=True))
    gets = [get for _, get in source.stream(source.refs())] * 4
    threads = [threading.Thread(target=get, args=(10**6,)) for get in gets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(site.asked.values()) == 24 and site.most_at_once <= 2


def test_a_source_of_urls_covers_them_and_takes_none_for_gone() -> None:
    source = opened(["https://x/{1..2}.jpg", "https://x/1.jpg"])
    assert list(source.roots) == ["https://x/1.jpg", "https://x/2.jpg"]
    assert source.covers("https://x/1.jpg") and not source.covers("https://x/3.jpg")
    assert source.exists("https://x/3.jpg") and not list(source.empty_roots())
    assert [ref.name for ref in source.without(["https://x/1.jpg"]).refs()] == ["https://x/2.jpg"]
    assert str(ref_of("https://x/" + "y" * 3000).problem).startswith("the path has 3,010 bytes")
    assert "secret" not in ref_of("nonsense:secret@x").name


@pytest.mark.slow
def test_killed_in_the_middle_of_a_list_it_goes_on(
    near: Database,
    recipe: Recipe,
    make_photos: Make,
    site: Site,
    tmp_path: Path,
    kill_ingest: Kill,
) -> None:
    shutil.copytree(make_photos(60, seed=2), site.folder, dirs_exist_ok=True)
    urls = [f"{site.url}/{n:04}.jpg" for n in range(60)]
    file = tmp_path / "urls.txt"
    file.write_text("\n".join(urls))
    n_before = kill_ingest(urls_from=file, env=ALLOWED, **recipe)
    assert 0 < n_before < 60
    assert counts(near.ingest(urls_from=file, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert sorted(image.path for image in near.images()) == urls
