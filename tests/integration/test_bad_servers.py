"""A failing web server loses no embedding: bytes from a URL are believed only after an hour."""

import itertools
import socketserver
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from spocdb.db.attachments import Attachment
from spocdb.verdicts import MOST_ATTEMPTS, SAME_BYTES
from spocdb.worker import WorkerOptions
from tests.fixtures.buckets import serving

NUMBER = itertools.count()


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


def image(body: bytes) -> bytes:
    return answer(body, b"Content-Type: image/jpeg", b"Content-Length: %d" % len(body))


class Site(socketserver.ThreadingTCPServer):
    """Answers each path with the test's bytes."""

    daemon_threads = True
    answers: dict[str, Any]


class Handler(socketserver.StreamRequestHandler):
    """Sends the bytes unchanged, and closes the connection."""

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        found = self.server.answers[path]  # type: ignore[attr-defined]
        with suppress(OSError):
            self.wfile.write(found() if callable(found) else found)


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), Handler)
    with serving(server):
        yield server


@pytest.fixture
def fetched(shop: Any, site: Site) -> Any:
    """Return the shop with URLs instead of paths, fetched and embedded."""
    site.answers = {f"/{f.name}": image(f.read_bytes()) for f in shop.folder.iterdir()}
    shop.execute("UPDATE products SET photo = %s || photo", [url(site)])
    attachment = Attachment("products", "id", "photo", urls=True, allow_private=True)
    shop.db.tables.attach(attachment, **shop.recipe)
    assert shop.work().n_new == 6
    return shop


def url(site: Site, path: str = "") -> str:
    return f"http://127.0.0.1:{site.server_address[1]}/{path}"


def work(shop: Any, n: int = MOST_ATTEMPTS, believed_after: float = 3600.0) -> int:
    """Run a worker `n` times, without the back-off; return how many failures it recorded."""
    options = WorkerOptions(shop.db.settings.limits, backoff=3600.0, believed_after=believed_after)
    n_failed = 0
    for _ in range(n):
        n_failed += shop.db.tables.work(once=True, options=options).n_failed
        shop.execute("UPDATE spocdb.queue SET due_at = now()")
    return n_failed


def reasons(shop: Any) -> dict[str, str]:
    return {f.path: f.reason for f in shop.db.failures("products")}


def test_a_bad_hour_costs_no_embedding(fetched: Any, site: Site) -> None:
    whole = site.answers["/0000.jpg"].partition(b"\r\n\r\n")[2]
    bad = {
        "page": answer(b"<html>sorry", b"Content-Type: text/html"),
        "nothing": answer(b""),
        "half-header": b"HTTP/1.1 200 OK\r\nContent-Ty",
        "unsized": answer(whole[:700], b"Content-Type: image/jpeg"),
        "nul": answer(b"", status=b"404 Not\0Found"),
        # A complete answer that claims to be an image, but only for an hour.
        "lie": image(b"try again later"),
    }
    for key, (name, given) in enumerate(bad.items(), 1):
        site.answers[f"/{name}"] = given
        values = [url(site, name), key]
        fetched.execute("UPDATE products SET photo = %s WHERE id = %s", values)
    assert work(fetched) == 6
    assert reasons(fetched) == dict.fromkeys(map(str, range(1, 7)), "ImageVanished")
    assert len(fetched.found()) == 6
    (coverage,) = fetched.db.tables.coverage()
    assert (coverage.rows, coverage.embedded, coverage.failed) == (6, 0, 6)
    messages = {f.path: f.message for f in fetched.db.failures("products")}
    assert all(message.isprintable() for message in messages.values())
    assert "not a JPEG" in messages["6"]
    # After the hour they are fetched again, by back-off or by `retry`.
    for name in bad:
        site.answers[f"/{name}"] = image(whole)
    fetched.db.tables.retry("products")
    assert fetched.work().n_reused == 6
    assert reasons(fetched) == {}


def test_a_bad_reason_stalls_no_other_row(fetched: Any, site: Site) -> None:
    site.answers["/nul"] = answer(b"", status=b"404 Not\0Found")
    site.answers["/new"] = image((fetched.folder / "0000.jpg").read_bytes())
    fetched.execute(
        "INSERT INTO products VALUES (7, %s), (8, %s)", [url(site, "nul"), url(site, "new")]
    )
    assert fetched.work().n_reused == 1
    assert "8" in fetched.found()
    assert fetched.execute("SELECT key, attempts, lease FROM spocdb.queue").fetchall() == [
        ("7", 1, None)
    ]


def test_the_same_bytes_again_and_again_are_believed(fetched: Any, site: Site) -> None:
    site.answers["/text"] = image(b"no image")
    fetched.execute("UPDATE products SET photo = %s WHERE id = 1", [url(site, "text")])
    assert work(fetched, SAME_BYTES - 1, believed_after=0.0) == 0
    assert "1" in fetched.found()
    rows = fetched.execute("SELECT rejections, rejected IS NOT NULL FROM spocdb.queue").fetchall()
    assert rows == [(SAME_BYTES - 1, True)]
    assert work(fetched, 1, believed_after=0.0) == 1
    assert reasons(fetched) == {"1": "UnreadableImage"}
    assert fetched.found() == ["2", "3", "4", "5", "6"]


def test_other_bytes_every_time_are_never_believed(fetched: Any, site: Site) -> None:
    site.answers["/clock"] = lambda: image(b"it is %d" % next(NUMBER))
    fetched.execute("UPDATE products SET photo = %s WHERE id = 1", [url(site, "clock")])
    assert work(fetched, believed_after=0.0) == 1
    assert reasons(fetched) == {"1": "ImageVanished"}
    assert "1" in fetched.found()


def test_what_can_never_be_fetched_is_a_failure_at_once(fetched: Any, site: Site) -> None:
    fetched.execute("UPDATE products SET photo = 'htp://images.example/a.jpg' WHERE id = 1")
    assert fetched.work().n_failed == 1
    assert reasons(fetched) == {"1": "UnreadableImage"}


def test_a_private_address_is_a_failure_that_forgets_nothing(fetched: Any, site: Site) -> None:
    """The address comes from a name server, whose answer may be wrong for a time."""
    attachment = Attachment("products", "id", "photo", urls=True)
    fetched.db.tables.attach(attachment, **fetched.recipe)
    assert fetched.work().n_failed == 6
    assert set(reasons(fetched).values()) == {"AddressRefused"}
    assert len(fetched.found()) == 6


def test_a_retry_makes_rows_in_back_off_due(fetched: Any, site: Site) -> None:
    site.answers["/late"] = answer(b"", status=b"404 Not Found")
    fetched.execute("UPDATE products SET photo = %s WHERE id < 3", [url(site, "late")])
    fetched.work()
    assert fetched.work().n_seen == 0
    site.answers["/late"] = image((fetched.folder / "0003.jpg").read_bytes())
    assert fetched.db.tables.retry("products", ["1"]) == 1
    assert fetched.work().n_reused == 1
    assert fetched.db.tables.retry("products") == 1
    assert fetched.work().n_reused == 1
    assert fetched.db.tables.retry("products") == 0
