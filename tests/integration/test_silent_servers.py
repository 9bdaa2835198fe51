"""A server that stops answering is noticed, and a stopped worker does not wait for it."""

import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from spocdb.db import watching
from spocdb.progress import Progress
from spocdb.settings import from_environment
from spocdb.worker import WorkerOptions
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitUntil


class Proxy:
    """Forwards a port to the server, until some or all connections are frozen."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._links: list[threading.Event] = []
        self._sockets: list[socket.socket] = [self._listener]
        self.is_frozen = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze_links(self) -> None:
        """Stop forwarding data of the open connections."""
        for link in self._links:
            link.set()

    def freeze(self) -> None:
        """Stop forwarding data of the open connections and of new ones."""
        self.is_frozen = True
        self.freeze_links()

    def close(self) -> None:
        for opened in self._sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                frozen = threading.Event()
                if self.is_frozen:
                    frozen.set()
                self._links.append(frozen)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=[*pair, frozen], daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, frozen: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if frozen.is_set():
                    return
                sink.sendall(data)
            if not frozen.is_set():
                sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    given = conninfo_to_dict(url)
    if not str(given.get("host", "")).startswith("/"):
        pytest.skip("the proxy forwards to a socket of Unix")
    made = Proxy(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
    yield made
    made.close()


@pytest.fixture
def far_url(url: str, proxy: Proxy) -> str:
    return make_conninfo(url, host="127.0.0.1", port=proxy.port)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the intervals and timeouts of the watch."""
    monkeypatch.setattr(watching, "SECONDS_UNTIL_ASKED", 0.2)
    monkeypatch.setattr(watching, "SECONDS_TO_ANSWER", 1.0)
    monkeypatch.setattr(watching, "MOST_SILENCES", 2)
    monkeypatch.setattr(watching, "SECONDS_UNTIL_CANCELLED", 0.4)
    monkeypatch.setattr(watching, "SECONDS_UNTIL_CUT", 0.8)


class Working:
    """A worker in a thread, connected through the proxy."""

    def __init__(
        self, url: str, environment: dict[str, str], wait_until: WaitUntil, said: list[str]
    ) -> None:
        self._wait_until = wait_until
        self._is_stopped = False
        self._pool = ThreadPoolExecutor(1)
        self.said = said
        self._done = self._pool.submit(self._work, url, environment)

    def _work(self, url: str, environment: dict[str, str]) -> Progress:
        with Database(from_environment(url, environment)) as db:
            return db.tables.work(
                options=WorkerOptions(db.settings.limits, poll=0.1),
                is_stopped=lambda: self._is_stopped,
            )

    def stop(self) -> Progress:
        self._is_stopped = True
        return self._done.result(60)

    def wait_until(self, what: Callable[[], bool]) -> None:
        self._wait_until(lambda: what() or self._done.done())
        assert not self._done.done(), self._done.exception()


@pytest.fixture
def working(
    stocked: Any,
    far_url: str,
    environment: dict[str, str],
    wait_until: WaitUntil,
    hasty: None,
    said: list[str],
) -> Iterator[Working]:
    """Return a worker that has embedded its first row."""
    worker = Working(far_url, environment, wait_until, said)
    stocked.execute("INSERT INTO products VALUES (7, '0000.jpg')")
    worker.wait_until(lambda: "products: 1 known" in worker.said)
    yield worker
    worker.stop()


@pytest.mark.slow
@pytest.mark.parametrize("is_whole_proxy", [False, True])
def test_a_link_that_breaks_without_a_word_is_left(
    stocked: Any, working: Working, proxy: Proxy, is_whole_proxy: bool
) -> None:
    if is_whole_proxy:
        proxy.freeze()
    else:
        proxy.freeze_links()
    left = "the database does not answer: leaving the connection"
    working.wait_until(lambda: left in working.said)
    proxy.is_frozen = False
    stocked.execute("INSERT INTO products VALUES (8, '0001.jpg')")
    working.wait_until(lambda: working.said.count("products: 1 known") == 2)
    assert any(line.startswith("lost the database (") for line in working.said)
    assert working.stop().n_reused == 2


def test_a_stopped_worker_does_not_wait_for_a_silent_server(working: Working, proxy: Proxy) -> None:
    proxy.freeze()
    assert working.stop().n_reused == 1


@pytest.mark.slow
def test_sigterm_ends_a_worker_whose_server_is_silent(
    stocked: Any, far_url: str, proxy: Proxy, start_spocdb: Start
) -> None:
    worker = start_spocdb("worker", "--poll=0.1", "--db", far_url)
    first = worker.stderr.readline()
    assert first.endswith(" working on products (table products)\n")
    proxy.freeze()
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    # 130 if the worker did not finish within the seconds that it has after a signal.
    assert worker.returncode in (0, 130), said
    assert "Traceback" not in said


def test_who_holds_a_lock_is_said(stocked: Any, working: Working) -> None:
    with psycopg.connect(stocked.db.url, application_name="a migration") as application:
        application.execute("LOCK TABLE products")
        stocked.execute("SELECT pg_notify('spocdb', '')")
        holder = f"process {application.info.backend_pid} (a migration, idle in transaction, since "
        working.wait_until(lambda: any(holder in line for line in working.said))
    (line,) = [line for line in working.said if holder in line]
    assert line.startswith("waiting for a lock that ") and line.endswith(") holds")


def test_who_holds_up_an_ingest_is_said(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    wait_until: WaitUntil,
    hasty: None,
    said: list[str],
) -> None:
    photos = make_photos(3)
    db.ingest(photos / "0000.jpg", **recipe)
    said.clear()
    with (
        psycopg.connect(db.url, application_name="a report") as other,
        ThreadPoolExecutor(1) as pool,
        db.engine.looked_after(),
    ):
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT FROM spocdb.collections FOR UPDATE")
        done = pool.submit(db.ingest, photos, **recipe)
        wait_until(lambda: said or done.done())
        assert not done.done()
        other.rollback()
        assert done.result(60).n_new == 2
    assert re.fullmatch(
        r"waiting for a lock that process \d+ \(a report, idle in transaction, since .*\) holds",
        said[0],
    )


@pytest.mark.slow
def test_an_ingest_whose_server_is_silent_can_be_ended(
    db: Database,
    far_url: str,
    proxy: Proxy,
    start_spocdb: Start,
    wait_until: WaitUntil,
    make_photos: Any,
) -> None:
    photos = make_photos(150)
    options = ["--extractor=mini", "--size=64", "--batch-size=1", "--db", far_url]
    ingest = start_spocdb("ingest", photos, *options)
    some = "SELECT FROM spocdb.images LIMIT 1"
    wait_until(lambda: db.connection.execute(some).fetchall(), ingest)
    proxy.freeze()
    ingest.send_signal(signal.SIGTERM)
    _, said = ingest.communicate(timeout=60)
    assert ingest.returncode in (1, 130), said
    assert "Traceback" not in said


def test_a_connection_waits_for_its_server_no_longer_than_the_address_says(url: str) -> None:
    from spocdb.db import connections

    with connections.connect(url) as connection:
        given = connection.info.get_parameters()
        assert (given["keepalives_idle"], given["tcp_user_timeout"]) == ("30", "30000")
        assert given["connect_timeout"] == "10"
    with connections.connect(
        make_conninfo(url, keepalives_idle=7, connect_timeout=3)
    ) as connection:
        given = connection.info.get_parameters()
        assert (given["keepalives_idle"], given["connect_timeout"]) == ("7", "3")
