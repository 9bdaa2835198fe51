"""How a worker answers queries when something goes wrong while it describes a picture."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spocdb import answering
from spocdb.answering import Answers
from spocdb.db import connections
from spocdb.db.connections import Connection
from spocdb.db.watching import Watch
from spocdb.features.extractor import Extractor
from spocdb.pipeline.budget import of_process
from spocdb.records import Recipe
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitUntil

ASK = "SELECT spocdb.ask('photos', %b)"
HELD = "SELECT due_at > now() FROM spocdb.queries WHERE id = %s"
ROW = "SELECT error, message FROM spocdb.queries WHERE id = %s"

Ask = Callable[[], int]


@pytest.fixture
def ask(db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]) -> Ask:
    """Return a function that asks about an ingested photograph and returns the row's id."""
    folder = make_photos(3)
    db.ingest(folder, collection="photos", **recipe)
    picture = (folder / "0000.jpg").read_bytes()
    return lambda: int(connections.one_row(db.connection, ASK, [picture])[0])


@pytest.fixture
def client(db: Database) -> Iterator[Connection]:
    """Return a connection that listens for answers."""
    with connections.connect(db.url) as connection:
        connection.execute("LISTEN spocdb_answers")
        yield connection


def next_answer(client: Connection) -> int:
    (notice,) = client.notifies(timeout=60, stop_after=1)
    return int(notice.payload)


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), RuntimeError("CUDA error: an illegal memory access")]
)
def test_an_error_that_nobody_foresaw_ends_neither_the_worker_nor_the_next_query(
    db: Database, ask: Ask, client: Connection, error: Exception, said: list[str]
) -> None:
    errors = [error]

    def load(recipe: Recipe) -> Extractor:
        if errors:
            raise errors.pop()
        return db.engine.extractor(recipe, "cpu", "float32")

    with (
        Watch(lambda: connections.connect(db.url)) as watch,
        Answers(load, db.settings.limits, 600, lambda: False) as answers,
    ):
        answers.start(watch)
        bad = ask()
        assert next_answer(client) == bad
        good = ask()
        assert next_answer(client) == good
        answers.check()
    told = "a worker cannot describe pictures of photos: its log says why"
    assert client.execute(ROW, [bad]).fetchone() == ("error", told)
    assert client.execute(ROW, [good]).fetchone() == (None, None)
    assert f"photos: a query cannot be answered: {error}" in said


def test_a_worker_holds_its_query_for_as_long_as_it_describes_the_picture(
    db: Database,
    ask: Ask,
    client: Connection,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "SECONDS_BETWEEN_HOLDS", 0.05)
    budget, id = of_process(db.settings.memory), ask()
    with ThreadPoolExecutor() as threads:
        with budget.lent(budget.total):
            work = threads.submit(db.tables.work, once=True)
            wait_until(lambda: client.execute(HELD, [id]).fetchone() == (True,))
            # As if the time were over for which the worker took it.
            client.execute("UPDATE spocdb.queries SET due_at = now()")
            wait_until(lambda: client.execute(HELD, [id]).fetchone() == (True,))
        work.result(60)
    assert client.execute(ROW, [id]).fetchone() == (None, None)
    assert client.execute("SELECT tries FROM spocdb.queries").fetchone() == (1,)


def test_a_notification_that_arrives_during_another_statement_is_kept(
    db: Database, client: Connection
) -> None:
    """psycopg lost it before 3.2.4; clients then wait, and workers poll late."""
    db.connection.execute("NOTIFY spocdb_answers, '1'")
    client.execute("SELECT")
    assert next_answer(client) == 1
