"""Images by path and URL: what is read, and what is refused."""

import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from spocdb.errors import AddressRefused, ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.sources.fetching import fetch
from spocdb.sources.hosts import is_public
from spocdb.sources.lines import parse
from spocdb.sources.locations import read_below
from tests.fixtures.buckets import serving

LIMIT = 1000


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "a b.jpg").write_bytes(b"image")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize("path", ["2024/a b.jpg", "./2024/../2024/a b.jpg"])
def test_a_path_below_the_folder_is_read(media: Path, path: str) -> None:
    assert read_below(str(media), path, LIMIT) == b"image"
    assert read_below(str(media), str(media / path), LIMIT) == b"image"


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "2024/../../secret", "link"])
def test_a_path_that_leads_out_is_refused(media: Path, path: str) -> None:
    (media / "link").symlink_to(media.parent / "secret")
    with pytest.raises(UnreadableImage, match="leads out of"):
        read_below(str(media), path, LIMIT)


def test_what_is_no_file_or_too_large(media: Path) -> None:
    os.mkfifo(media / "pipe")
    for path in ("2024", "pipe", "missing.jpg", "2024/a b.jpg/x"):
        with pytest.raises(ImageVanished, match="there is no file"):
            read_below(str(media), path, LIMIT)
    with pytest.raises(ImageTooLarge):
        read_below(str(media), "2024/a b.jpg", 3)


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d" % len(body)
    return answer(body, length, *headers, status=status)


ANSWERS = {
    "/image": whole(b"image"),
    "/a%20b/%C3%B6": whole(b"image"),
    "/octets": whole(b"image", b"Content-Type: application/octet-stream"),
    "/unknown": whole(b"image", b"Content-Type: text/plain"),
    "/chunked": answer(b"5\r\nimage\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "/unsized": answer(b"image"),
    "/large": whole(b"x" * (LIMIT + 1)),
    "/claims": answer(b"", b"Content-Length: 10000000"),
    "/endless": answer(b"x" * 10 * LIMIT),
    "/circle": answer(b"", b"Location: /circle", status=b"302 Found"),
    # Answers that are no images.
    "/missing": whole(b"", status=b"404 Not Found"),
    "/broken": whole(b"image", status=b"503 Service Unavailable"),
    "/nothing": answer(b"", status=b"204 No Content"),
    "/part": whole(b"ima", b"Content-Range: bytes 0-2/5", status=b"206 Partial Content"),
    "/empty": whole(b""),
    "/empty-unsized": answer(b""),
    "/page": whole(b"<html>sorry", b"Content-Type: text/html; charset=utf-8"),
    "/json": whole(b"{}", b"Content-Type: application/problem+json"),
    "/packed": whole(b"image", b"Content-Encoding: gzip"),
    "/short": answer(b"few", b"Content-Length: 10"),
    "/short-chunk": answer(b"5\r\nima", b"Transfer-Encoding: chunked"),
    "/no-last-chunk": answer(b"5\r\nimage\r\n", b"Transfer-Encoding: chunked"),
    "/silent": b"",
    "/half-header": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "/half-status": b"HTTP/1.1 20",
    "/nul": whole(b"", status=b"404 Not\0Found"),
    "/rubbish": b"\0\1\2\r\n\r\n",
    "/no-length": answer(b"image", b"Content-Length: many"),
}
NOT_HAD = [
    *("/missing", "/broken", "/nothing", "/part", "/empty", "/empty-unsized", "/page", "/json"),
    *("/packed", "/short", "/short-chunk", "/no-last-chunk", "/silent", "/half-header"),
    *("/half-status", "/nul", "/rubbish", "/no-length", "/circle"),
]


class Handler(socketserver.StreamRequestHandler):
    """Sends the bytes of `ANSWERS` for the path, and closes the connection."""

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        with suppress(OSError):  # the client may have closed the connection
            if path == "/slow":
                self._drip()
            elif path.startswith("/to?"):
                where = b"Location: " + path.removeprefix("/to?").encode()
                self.wfile.write(answer(b"", where, status=b"302 Found"))
            else:
                self.wfile.write(ANSWERS[path])

    def _drip(self) -> None:
        """Send a header byte by byte, so that no single read reaches a timeout."""
        for _ in range(200):
            self.wfile.write(b"H")
            self.wfile.flush()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


def test_a_url_is_fetched_through_redirections(site: str) -> None:
    assert fetch(f"{site}/image", LIMIT, allow_private=True) == b"image"
    assert fetch(f"{site}/to?/image", LIMIT, allow_private=True) == b"image"
    assert fetch(f"{site.replace('http', 'HTTP', 1)}/image", LIMIT, allow_private=True) == b"image"


def test_a_proxy_of_the_environment_is_not_talked_to(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch(f"{site}/image", LIMIT, allow_private=True) == b"image"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0.0.0.0"])
def test_private_addresses_are_refused_however_they_are_written(site: str, host: str) -> None:
    port = site.rpartition(":")[2]
    with pytest.raises(AddressRefused, match="which is not public: attach with `allow_private="):
        fetch(f"http://{host}:{port}/image", LIMIT)


def test_a_name_is_judged_by_what_it_resolves_to(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = ("127.0.0.1", int(site.rpartition(":")[2]))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(AddressRefused, match=r"images\.example is at 127\.0\.0\.1"):
        fetch("http://images.example/image", LIMIT)
    assert fetch("http://images.example/image", LIMIT, allow_private=True) == b"image"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("::", False),
        ("::ffff:192.168.0.1", False),
        ("::ffff:93.184.216.34", True),
        # IPv4-compatible, IPv4-translated: not routed, but a system may treat them as IPv4.
        ("::7f00:1", False),
        ("::5db8:d822", False),
        ("::ffff:0:7f00:1", False),
        ("::ffff:0:5db8:d822", False),
        # NAT64: a network without IPv4 reaches every site by it.
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b:1::5db8:d822", False),
        # 6to4 and Teredo.
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),  # its client is 10.0.0.1
        ("2001:0:7f00:1:8000:63bf:a247:27dd", False),  # its server is 127.0.0.1
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("100::1", False),
        ("4000::1", False),
        ("2001:db8::1", False),
        # The newer block for examples, and the relays of 6to4; their neighbours are public.
        ("3fff::1", False),
        ("3fff:fff:ffff::1", False),
        ("192.88.99.1", False),
        ("::ffff:192.88.99.1", False),
        ("192.88.98.1", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_a_host_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(AddressRefused, match=r"is at 10\.0\.0\.1"):
        fetch("http://images.example/image", LIMIT)


def test_the_deadline_covers_the_look_up_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang(*args: object, **kwargs: object) -> list[object]:
        never.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(ImageVanished, match=r"look-up of images\.example timed out"):
        fetch("http://images.example/image", LIMIT, seconds=0.2)
    never.set()


@pytest.mark.parametrize("path", NOT_HAD)
def test_what_is_no_whole_image_may_come_later(site: str, path: str) -> None:
    with pytest.raises(ImageVanished, match="cannot fetch: ") as raised:
        fetch(site + path, LIMIT, allow_private=True)
    assert str(raised.value).isprintable()


def test_nobody_there_may_come_later() -> None:
    with pytest.raises(ImageVanished, match=r"cannot fetch: .*refused"):
        fetch(f"http://127.0.0.1:{_free_port()}/image", LIMIT, allow_private=True)


@pytest.mark.parametrize("path", ["/large", "/claims", "/endless"])
def test_more_than_the_limit_is_not_read(site: str, path: str) -> None:
    with pytest.raises(ImageTooLarge, match="over the limit of 1000 bytes"):
        fetch(site + path, LIMIT, allow_private=True)


@pytest.mark.parametrize("path", ["/octets", "/unknown", "/chunked", "/unsized", "/a b/ö"])
def test_what_is_fetched(site: str, path: str) -> None:
    assert fetch(site + path, LIMIT, allow_private=True) == b"image"


def test_who_answers_slowly_is_left(site: str) -> None:
    began = time.monotonic()
    with pytest.raises(ImageVanished):
        fetch(f"{site}/slow", LIMIT, allow_private=True, seconds=0.5)
    # The answer takes 10 seconds; the limit is half a second.
    assert time.monotonic() - began < 8


def test_who_never_finishes_a_handshake_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, done = server.getsockname()[1], threading.Event()

        def drip() -> None:
            client, _ = server.accept()
            # The header of a TLS record, whose content follows byte by byte.
            with client, suppress(OSError):
                client.sendall(b"\x16\x03\x03\x3f\xff")
                while not done.wait(0.05):
                    client.sendall(b"\x02")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(ImageVanished):
            fetch(f"https://127.0.0.1:{port}/", LIMIT, allow_private=True, seconds=0.5)
        assert time.monotonic() - began < 8
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a",
        "a.jpg",
        "",
        "http://",
        "http:///path",
        "http://a b/",
        "http://a%20b/",
        "http://a..b/",
        "http://" + "a" * 70 + ".example/",
        "http://xn--/",
        "http://me:secret@host:port/",
        "http://host:99999/",
        "http://host/a\nb",
        "http://host/a\0b",
        "http://[::1/",
    ],
)
def test_what_can_never_be_fetched_is_unreadable_at_once(url: str) -> None:
    with pytest.raises(UnreadableImage, match="no") as refused:
        fetch(url, LIMIT)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        (" \thttp://host/a ", b"host", b"/a"),
        ("HTTP://HOST", b"host", b"/"),
        ("http://host/a b.jpg?of=c d#e", b"host", b"/a%20b.jpg?of=c%20d"),
        ("http://host/a%20b.jpg", b"host", b"/a%20b.jpg"),
        ("http://host/Zoë/山.jpg?ö", b"host", b"/Zo%C3%AB/%E5%B1%B1.jpg?%C3%B6"),
        ("http://bücher.example:81/", b"xn--bcher-kva.example", b"/"),
        ("http://例え.example/", b"xn--r8jz45g.example", b"/"),
        ("http://[::1]:8080/a", b"::1", b"/a"),
    ],
)
def test_how_a_url_is_sent(url: str, host: bytes, target: bytes) -> None:
    parsed = parse(url)
    assert (parsed.raw_host, parsed.raw_path) == (host, target)


def test_a_redirection_leads_nowhere_else(site: str) -> None:
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"):
        with pytest.raises(ImageVanished):
            fetch(f"{site}/to?{target}", LIMIT, allow_private=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
