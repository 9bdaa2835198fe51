"""Connections are kept between the parts of archives behind URLs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spocdb.errors import AddressRefused
from spocdb.sources import far_files, far_urls, sockets
from spocdb.sources.archives import ArchivesSource
from spocdb.sources.far_urls import FarUrls
from spocdb.sources.hosts import MOST_A_HOST
from spocdb.sources.kept_lines import MOST_IDLE
from spocdb.sources.source import Terms
from tests.fixtures.archived import pack, read
from tests.fixtures.buckets import serving
from tests.fixtures.file_site import FileSite

BLOCK = 8192
MEMBERS = {f"{n:04}.jpg": bytes([n]) * 5000 for n in range(100)}


@pytest.fixture(autouse=True)
def no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_files, "BLOCK", BLOCK)
    monkeypatch.setattr(far_urls, "PAUSES", ())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    pack(tmp_path / "a.tar", MEMBERS)
    site = FileSite(tmp_path, ranges=True)
    with serving(site):
        yield site


def all_read(url: str) -> bool:
    source = ArchivesSource([url], Terms(allow_private=True))
    return [*read(source).values()] == [*MEMBERS.values()]


@pytest.mark.parametrize("name", ["a.tar", "to/a.tar"])
def test_an_archive_is_read_by_a_few_connections(site: FileSite, name: str) -> None:
    assert all_read(site.url_of(name))
    assert len(site.asked) > 60 and site.n_connections <= MOST_A_HOST


@pytest.mark.parametrize("name", ["a.tar", "to/a.tar"])
@pytest.mark.parametrize("n_answered", [1, 2, 3])
def test_a_kept_connection_that_is_closed_is_replaced(
    site: FileSite, name: str, n_answered: int
) -> None:
    site.n_answered = n_answered
    assert all_read(site.url_of(name))
    assert site.n_connections > len(site.asked) / (n_answered + 1)


def test_a_new_connection_is_checked_again(site: FileSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the name led to another address by now."""
    is_public = [True]
    monkeypatch.setattr(sockets, "is_public", lambda address: is_public[0])
    urls, url = FarUrls(allow_private=False), site.url_of("a.tar")
    site.n_answered = 3
    far = urls.look(url)
    is_public[0] = False
    assert urls.get_range(url, 0, 5)[1] == urls.get_range(url, 5, 10)[1] == far.version
    with pytest.raises(AddressRefused, match="not public: set SPOCDB_ALLOW_PRIVATE=1"):
        urls.get_range(url, 10, 15)
    assert site.n_connections == 1


def test_connections_of_many_hosts_are_closed(site: FileSite) -> None:
    urls = FarUrls(allow_private=True)
    for n in range(20):
        urls.look(site.url_of("a.tar").replace("127.0.0.1", f"127.0.0.{n + 1}"))
    assert len(urls._lines._idle) == MOST_IDLE
