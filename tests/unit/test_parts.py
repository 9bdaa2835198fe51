"""Parts of files behind URLs: what is taken for one, and what is refused."""

import socketserver
from collections.abc import Iterator
from contextlib import suppress

import pytest

from spocdb.errors import AddressRefused, ImageVanished, UnreadableImage
from spocdb.sources import far_urls
from spocdb.sources.containers import Containers
from spocdb.sources.far_urls import FarUrls
from spocdb.sources.kept_lines import KeptLines
from spocdb.sources.parts import LONGEST_TAG, Part, Whole, fetch_part
from spocdb.sources.source import Terms
from tests.fixtures.buckets import serving

PART = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n"
RANGE = b"Content-Range: bytes 2-4/10\r\n"
ANSWERS = {
    "/file": PART + RANGE + b'ETag: "one"\r\n\r\n234',
    "/dated": PART + RANGE + b"Last-Modified: Sat, 28 Nov 2026 09:00:00 GMT\r\n\r\n234",
    "/bare": PART + RANGE + b"\r\n234",
    "/long": PART + RANGE + b"ETag: " + b"x" * (LONGEST_TAG + 1) + b"\r\n\r\n234",
    "/end": PART + b"Content-Range: bytes 2-4/5\r\n\r\n234",
    "/to": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /file\r\n\r\n",
    "/whole": b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "two"\r\n\r\n0123456789',
    "/missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "/shrunk": b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
    "/empty": b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
    "/denied": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "/elsewhere": PART + b"Content-Range: bytes 0-2/10\r\n\r\n012",
    "/unsized": PART + b"Content-Range: bytes 2-4/*\r\n\r\n234",
    "/silent": PART + b"\r\n234",
    "/short": PART.replace(b"3", b"2") + RANGE + b"\r\n23",
    "/endless": b"HTTP/1.1 206 Partial Content\r\n" + RANGE + b"\r\n" + b"x" * 10**6,
    "/packed": PART + RANGE + b"Content-Encoding: gzip\r\n\r\n234",
}


class Handler(socketserver.StreamRequestHandler):
    """Answers a request for the bytes 2 to 4 of a path, of the empty file for the first byte."""

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        asked = [*iter(lambda: self.rfile.readline().strip().lower(), b"")]
        assert (b"range: bytes=0-0" if path == "/empty" else b"range: bytes=2-4") in asked
        with suppress(OSError):  # the client may have closed the connection
            self.wfile.write(ANSWERS[path])


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/file", '"one" 10'),
        ("/to", '"one" 10'),
        ("/dated", '"Sat, 28 Nov 2026 09:00:00 GMT" 10'),
        ("/bare", '"" 10'),
    ],
)
def test_a_part_has_the_version_and_the_size_of_its_file(
    site: str, path: str, version: str
) -> None:
    found = fetch_part(KeptLines(None), site + path, 2, 5)
    assert found == Part(b"234", version, 10)


def test_a_part_ends_with_its_file_and_long_tags_are_hashed(site: str) -> None:
    assert fetch_part(KeptLines(None), f"{site}/end", 2, 5).size == 5
    assert len(fetch_part(KeptLines(None), f"{site}/long", 2, 5).version) == 69


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/missing", "HTTP 404 Not Found"),
        ("/shrunk", "HTTP 416 Range Not Satisfiable"),
        ("/denied", "HTTP 403 Forbidden"),
        ("/elsewhere", "does not say which part"),
        ("/unsized", "does not say which part"),
        ("/silent", "does not say which part"),
        ("/short", "2 of 3 bytes"),
        ("/endless", "of 3 bytes"),
        ("/packed", "the encoding gzip"),
    ],
)
def test_what_is_no_such_part(site: str, path: str, said: str) -> None:
    with pytest.raises(ImageVanished, match=said) as raised:
        fetch_part(KeptLines(None), site + path, 2, 5)
    is_gone = isinstance(raised.value.__cause__, FileNotFoundError)
    assert is_gone == (path in ("/missing", "/shrunk"))


def test_whole_files_are_told_apart(site: str) -> None:
    assert fetch_part(KeptLines(None), f"{site}/whole", 2, 5) == Whole('"two" 10', 10)
    with pytest.raises(UnreadableImage, match="does not send parts of files: download it first"):
        FarUrls(allow_private=True).get_range(f"{site}/whole", 2, 5)


def test_private_addresses_are_refused(site: str) -> None:
    with pytest.raises(AddressRefused, match="not public: set SPOCDB_ALLOW_PRIVATE=1"):
        FarUrls(allow_private=False).get_range(f"{site}/file", 2, 5)


def test_an_empty_file_is_there(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is being written again, perhaps: its images are not gone.
    monkeypatch.setattr(far_urls, "PAUSES", ())
    with pytest.raises(ImageVanished, match="the file is empty"):
        FarUrls(allow_private=True).get_range(f"{site}/empty", 0, 1)
    assert Containers(Terms(allow_private=True)).is_there(f"{site}/empty")
