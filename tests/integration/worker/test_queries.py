"""Queries and workers as real processes: woken, busy, several, killed, stopped, cut off."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import connections
from spocdb.db.attachments import Attachment
from spocdb.db.connections import Connection
from tests.fixtures.forking import Forked
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitUntil
from tests.integration.worker.products import coverage

pytestmark = pytest.mark.slow

MakePhotos = Callable[..., Path]
Recipe = dict[str, Any]

ASK = "SELECT spocdb.ask('photos', %b)"
STATE = "SELECT tries, error, embedding IS NOT NULL FROM spocdb.queries WHERE id = %s"
WAITING = "SELECT count(*) FROM spocdb.queries WHERE answered_at IS NULL"


@pytest.fixture
def picture(db: Database, make_photos: MakePhotos, recipe: Recipe) -> bytes:
    """Return one of three ingested photographs."""
    folder = make_photos(3)
    db.ingest(folder, collection="photos", **recipe)
    return (folder / "0001.jpg").read_bytes()


@pytest.fixture
def client(db: Database) -> Iterator[Connection]:
    """Return a connection that listens for answers."""
    with closing(connections.connect(db.url)) as connection:
        connection.execute("LISTEN spocdb_answers")
        yield connection


@pytest.fixture
def start(start_spocdb: Start) -> Start:
    """Return a function that starts a worker that does not poll, so that a NOTIFY must wake it."""

    def start(url: str, *options: str) -> Forked:
        return start_spocdb("worker", "--poll=600", *options, SPOCDB_DATABASE_URL=url)

    return start


def ask(client: Connection, picture: bytes) -> int:
    return int(connections.one_row(client, ASK, [picture])[0])


def answers(client: Connection, n: int = 1) -> list[int]:
    """Return the ids of the next `n` answers."""
    return [int(notice.payload) for notice in client.notifies(timeout=120, stop_after=n)]


def state(client: Connection, id: int) -> Any:
    """Return a query's tries, its error and whether it has an embedding."""
    return connections.one_row(client, STATE, [id])


def decoder_of(worker: Forked) -> int:
    """Return the process in which a worker decodes queries."""
    children = Path(f"/proc/{worker.pid}/task").glob("*/children")
    (pid,) = {int(pid) for file in children for pid in file.read_text().split()}
    return pid


@pytest.fixture
def stuck(
    db: Database, picture: bytes, client: Connection, start: Start, wait_until: WaitUntil
) -> tuple[Forked, int, int]:
    """Return a worker whose decoder was paused, that decoder, and the query that the worker has."""
    worker = start(db.url)
    ask(client, picture)
    assert answers(client)
    decoder = decoder_of(worker)
    os.kill(decoder, signal.SIGSTOP)
    id = ask(client, picture)
    wait_until(lambda: state(client, id) == (1, None, False), worker)
    return worker, decoder, id


def test_a_picture_that_kills_its_decoder_does_not_kill_the_worker(
    stuck: tuple[Forked, int, int], client: Connection, picture: bytes
) -> None:
    worker, decoder, id = stuck
    os.kill(decoder, signal.SIGKILL)
    assert answers(client) == [id]
    assert state(client, id) == (1, "process-lost", False)
    another = ask(client, picture)
    assert answers(client) == [another]
    assert state(client, another) == (1, None, True)
    assert worker.poll() is None


def test_a_killed_worker_s_query_is_taken_by_another(
    stuck: tuple[Forked, int, int], client: Connection, db: Database, start: Start
) -> None:
    worker, decoder, id = stuck
    worker.kill()
    os.kill(decoder, signal.SIGKILL)
    # The time for which the dead worker holds it is over.
    client.execute("UPDATE spocdb.queries SET due_at = now()")
    start(db.url)
    assert answers(client) == [id]
    assert state(client, id) == (2, None, True)


def test_a_stopped_worker_gives_its_query_back(
    stuck: tuple[Forked, int, int], client: Connection
) -> None:
    worker, _, id = stuck
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert (worker.returncode, "Traceback" in said) == (0, False), said
    assert state(client, id) == (0, None, False)
    is_due = connections.one_row(client, "SELECT due_at <= now() FROM spocdb.queries WHERE id > 1")
    assert is_due == (True,)


def test_two_workers_answer_each_query_once(
    db: Database, picture: bytes, client: Connection, start: Start, wait_until: WaitUntil
) -> None:
    workers = [start(db.url) for _ in range(2)]
    asked = [ask(client, picture) for _ in range(30)]
    assert sorted(answers(client, 30)) == asked
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
    assert list(client.notifies(timeout=0)) == []
    assert {state(client, id) for id in asked} == {(1, None, True)}


def test_a_worker_that_is_busy_answers_at_once(
    db: Database,
    picture: bytes,
    client: Connection,
    recipe: Recipe,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    """The images of a long queue come from a server that never sends them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text)")
        client.execute(
            "INSERT INTO products SELECT n, %s || n FROM generate_series(1, 500) n",
            [f"http://127.0.0.1:{server.getsockname()[1]}/"],
        )
        attachment = Attachment("public.products", "id", "photo", urls=True, allow_private=True)
        db.tables.attach(attachment, **recipe)
        worker = start(db.url)
        wait_until(lambda: coverage(db).leased > 0, worker)
        id = ask(client, picture)
        assert answers(client) == [id]
        assert state(client, id) == (1, None, True)
        assert (coverage(db).leased > 0, coverage(db).embedded) == (True, 0)


def test_a_worker_whose_connection_for_queries_is_lost_opens_another(
    db: Database, picture: bytes, client: Connection, start: Start, wait_until: WaitUntil
) -> None:
    worker = start(db.url, "--poll=0.2")
    ask(client, picture)
    assert answers(client)
    ended = client.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE '%%spocdb.queries%%' "
        "AND application_name = 'spocdb' AND pid <> pg_backend_pid()",
        [],
    ).fetchall()
    assert ended == [(True,)]
    said = [worker.stderr.readline() for _ in range(2)]
    assert said[0].endswith(" no table is attached, and nothing is queued: answering queries\n")
    assert " lost the database (" in said[1]
    id = ask(client, picture)
    assert answers(client) == [id]
