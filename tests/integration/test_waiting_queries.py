"""Queries that wait in spocdb.queries while no worker runs: they expire, and a role has few."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.db import connections
from spocdb.db.connections import Connection
from tests.fixtures.opened import Database

# They outlive the database, so they are made before it.
pytestmark = pytest.mark.usefixtures("roles")

LogIn = Callable[[str], Connection]

ASK = "SELECT spocdb.ask('photos', '')"
ASK_OFTEN = "INSERT INTO spocdb.queries (collection, picture) SELECT 'photos', '' FROM {}"
IDS = "SELECT id FROM spocdb.queries ORDER BY id"
EXPIRE = "UPDATE spocdb.queries SET expires_at = now() WHERE id = ANY (%s)"
MOST = 100


@pytest.fixture
def readers(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    roles: dict[str, str],
    log_in: LogIn,
) -> list[Connection]:
    """Return the connections of two roles that may read the collection photos."""
    db.ingest(make_photos(3), collection="photos", **recipe)
    names = [roles["reader"], roles["member"]]
    for name in names:
        db.grant_reader(name, "photos")
    return [log_in(name) for name in names]


def ask(connection: Connection) -> int:
    return int(connections.one_row(connection, ASK)[0])


def ask_often(connection: Connection, n: int) -> None:
    connection.execute(ASK_OFTEN.format(f"generate_series(1, {n})"))


def ids(connection: Connection) -> list[int]:
    return [id for (id,) in connection.execute(IDS)]


def test_the_next_query_of_any_role_deletes_expired_ones(
    db: Database, readers: list[Connection]
) -> None:
    first, second = readers
    old, kept = ask(first), ask(first)
    db.connection.execute(EXPIRE, [[old]])
    new = ask(second)
    assert ids(db.connection) == [kept, new]


def test_a_query_in_an_older_snapshot_is_admitted(db: Database, readers: list[Connection]) -> None:
    """Its snapshot shows an expired row that another client has deleted since."""
    first, second = readers
    db.connection.execute(EXPIRE, [[ask(first)]])
    with first.transaction():
        first.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        first.execute(IDS)
        theirs = ask(second)
        mine = ask(first)
    assert ids(db.connection) == [theirs, mine]


def test_a_role_has_a_limited_number_of_queries_that_wait(
    db: Database, readers: list[Connection], roles: dict[str, str]
) -> None:
    first, second = readers
    refused = psycopg.errors.ConfigurationLimitExceeded
    role = roles["reader"].replace('"', '""')
    said = f'^{MOST} queries of the role "{role}" wait for an answer already\n'
    with pytest.raises(refused, match=said):
        ask_often(first, MOST + 1)
    assert ids(db.connection) == []
    ask_often(first, MOST)
    with pytest.raises(refused, match=said):
        ask(first)
    ask(second)  # a limit of each role
    # Expired queries and answered ones do not count.
    waiting = ids(first)
    db.connection.execute(EXPIRE, [waiting[:1]])
    db.connection.execute(
        "UPDATE spocdb.queries SET picture = NULL, answered_at = now(), error = 'error' "
        "WHERE id = %s",
        [waiting[1]],
    )
    for _ in range(2):
        ask(first)
    with pytest.raises(refused, match=said):
        ask(first)
