"""Images by path and URL: what is read, and what is refused."""

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from spocdb.errors import AddressRefused, ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.images.locations import _is_public, fetch, read_below

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


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        if self.path == "/image":
            self._answer(200, b"image")
        elif self.path == "/large":
            self._answer(200, b"x" * (LIMIT + 1))
        elif self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.path == "/slow":
            self._drip()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"few")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """Send a header a byte at a time: no single wait is long."""
        try:
            for _ in range(200):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.close_connection = True  # they had enough

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


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
    with pytest.raises(AddressRefused, match="which is not public: attach with --allow-private"):
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
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::ffff:192.168.0.1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
    ],
)
def test_which_addresses_are_public(address: str, is_public: bool) -> None:
    assert _is_public(address) == is_public


def test_what_cannot_be_fetched_may_come_later(site: str) -> None:
    for path in ("/missing", "/short"):
        with pytest.raises(ImageVanished, match="cannot fetch: "):
            fetch(site + path, LIMIT, allow_private=True)
    closed = f"http://127.0.0.1:{_free_port()}/image"
    with pytest.raises(ImageVanished, match=r"cannot fetch: .*refused"):
        fetch(closed, LIMIT, allow_private=True)
    with pytest.raises(ImageTooLarge, match="over the limit of 1000 bytes"):
        fetch(f"{site}/large", LIMIT, allow_private=True)


def test_who_answers_slowly_is_left(site: str) -> None:
    began = time.monotonic()
    with pytest.raises(ImageVanished):
        fetch(f"{site}/slow", LIMIT, allow_private=True, seconds=0.5)
    # A drip of 10 seconds; half of one was given.
    assert time.monotonic() - began < 8


def test_who_never_finishes_a_handshake_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, done = server.getsockname()[1], threading.Event()

        def drip() -> None:
            client, _ = server.accept()
            # The head of a record of TLS that never ends.
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
    "url", ["file:///etc/passwd", "ftp://example.com/a", "a.jpg", "http://", "http://a b/"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises((UnreadableImage, ImageVanished)):
        fetch(url, LIMIT)


def test_a_redirection_leads_nowhere_else(site: str) -> None:
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"):
        with pytest.raises(ImageVanished):
            fetch(f"{site}/to?{target}", LIMIT, allow_private=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
