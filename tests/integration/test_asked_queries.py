"""Pictures that are asked for by rows of spocdb.queries: the answers, and who sees them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from spocdb import Crop
from spocdb.db import connections, schema
from spocdb.db.connections import Connection
from spocdb.db.vectors import floats
from spocdb.feeds import WorkerOptions
from spocdb.pipeline.budget import of_process
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitUntil

# They outlive the database, so they are made before it.
pytestmark = pytest.mark.usefixtures("roles")

DENIED = psycopg.errors.InsufficientPrivilege

LogIn = Callable[[str], Connection]
MakePhotos = Callable[..., Path]

ASK = "SELECT spocdb.ask(%s, %b, %s)"
INSERT = "INSERT INTO spocdb.queries (collection, picture) VALUES (%s, %b) RETURNING id"
ROW = "SELECT error, message FROM spocdb.queries WHERE id = %s"


@pytest.fixture(scope="session")
def n_photos() -> int:
    return 6


@pytest.fixture(scope="session")
def photos_pca() -> dict[str, Any]:
    return {"dim": 4}


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    """Return the folder of six ingested photographs, with a PCA."""
    return ingested_photos


@pytest.fixture
def reader(db: Database, photos: Path, roles: dict[str, str], log_in: LogIn) -> Connection:
    """Return a connection of a role that may read the photographs and nothing else."""
    db.grant_reader(roles["reader"], "photos")
    return log_in(roles["reader"])


def ask(
    connection: Connection, picture: bytes, collection: str = "photos", crop: Any = None
) -> int:
    """Ask for a picture's embedding; return the id of the row."""
    return int(connections.one_row(connection, ASK, [collection, picture, crop])[0])


def test_an_answer_is_what_embed_gives(db: Database, photos: Path, reader: Connection) -> None:
    picture = (photos / "0002.jpg").read_bytes()
    whole, part = ask(reader, picture), ask(reader, picture, crop=[10, 5, 40, 30])
    db.tables.work(once=True)
    for id, crop in ((whole, None), (part, Crop(10, 5, 40, 30))):
        row = reader.execute("SELECT * FROM spocdb.queries WHERE id = %s", [id])
        names = [column.name for column in row.description or ()]
        found = dict(zip(names, row.fetchone() or (), strict=True))
        expected = db.embed(picture, collection="photos", crop=crop)
        np.testing.assert_allclose(floats(found["embedding"]), expected, atol=1e-6)
        assert (found["projection"], found["tries"]) == (2, 1)
        assert found["picture"] is found["error"] is found["message"] is None
        assert found["answered_at"] is not None
    # In one statement, whatever projection is active by now.
    db.pca.rollback("photos")
    hits = reader.execute(
        "SELECT s.path, s.distance FROM spocdb.queries q, spocdb.search(q.collection, q.embedding, "
        "3, projection => q.projection) s WHERE q.id = %s ORDER BY s.distance",
        [whole],
    ).fetchall()
    assert len(hits) == 3
    assert hits[0][0] == str(photos / "0002.jpg") and hits[0][1] < 1e-4


def test_an_attached_collection_is_asked_too(stocked: Any) -> None:
    picture = (stocked.folder / "0003.jpg").read_bytes()
    id = ask(stocked.db.connection, picture, "products")
    stocked.execute("UPDATE products SET photo = '0000.jpg' WHERE id = 6")
    assert stocked.work().n_seen == 1  # queries are not counted as rows
    keys = stocked.execute(
        "SELECT s.path FROM spocdb.queries q, spocdb.search('products', q.embedding, 1) s "
        "WHERE q.id = %s",
        [id],
    )
    assert keys.fetchall() == [("4",)]


def test_an_answer_is_notified_with_the_id_alone(
    db: Database, photos: Path, reader: Connection
) -> None:
    reader.execute("LISTEN spocdb_answers")
    good, bad = ask(reader, (photos / "0000.jpg").read_bytes()), ask(reader, b"no picture")
    db.tables.work(once=True)
    told = [notice.payload for notice in reader.notifies(timeout=60, stop_after=2)]
    assert told == [str(good), str(bad)]


def test_a_role_asks_and_sees_for_itself_alone(
    db: Database, photos: Path, reader: Connection, roles: dict[str, str], log_in: LogIn
) -> None:
    picture = (photos / "0000.jpg").read_bytes()
    db.grant_reader(roles["member"], "photos")
    other = log_in(roles["member"])
    mine = ask(reader, picture)
    (theirs,) = connections.one_row(other, INSERT, ["photos", picture])
    listed = "SELECT id, asked_by FROM spocdb.queries ORDER BY id"
    assert reader.execute(listed).fetchall() == [(mine, roles["reader"])]
    assert other.execute(listed).fetchall() == [(theirs, roles["member"])]
    # Who may read the queue, as a monitoring role may, is shown no pictures.
    writer = Identifier(roles["writer"])
    db.connection.execute(SQL("GRANT pg_read_all_data TO {}").format(writer))
    assert log_in(roles["writer"]).execute(listed).fetchall() == []
    db.tables.work(once=True)
    assert reader.execute(ROW, [theirs]).fetchall() == []
    assert other.execute("DELETE FROM spocdb.queries").rowcount == 1
    assert reader.execute(listed).fetchall() == [(mine, roles["reader"])]
    for columns, values in (
        ("collection, picture, asked_by", "'photos', '', 'postgres'"),
        ("collection, picture, expires_at", "'photos', '', 'infinity'"),
        ("collection, embedding", "'photos', '[1]'"),
    ):
        with pytest.raises(DENIED, match="permission denied for table queries"):
            reader.execute(f"INSERT INTO spocdb.queries ({columns}) VALUES ({values})")
    for statement in (
        "UPDATE spocdb.queries SET picture = ''",
        "TRUNCATE spocdb.queries",
        "SELECT FROM spocdb.queries FOR UPDATE",
    ):
        with pytest.raises(DENIED):
            reader.execute(statement)


def test_only_who_may_read_a_collection_may_ask_about_it(
    db: Database,
    photos: Path,
    reader: Connection,
    recipe: dict[str, Any],
    make_photos: MakePhotos,
    roles: dict[str, str],
) -> None:
    picture = (photos / "0000.jpg").read_bytes()
    db.ingest(make_photos(3, "more", 1), collection="secret", **recipe)
    for name in ("secret", "no such", ""):
        message = f'^there is no collection named .* that the role "{roles["reader"][:6]}'
        with pytest.raises(psycopg.errors.UndefinedObject, match=message):
            ask(reader, picture, name)
    for name in ("secret", "no such"):
        with pytest.raises(DENIED, match="row-level security"):
            reader.execute(INSERT, [name, picture])
    # A right that is taken back takes the answer with it.
    id = ask(reader, picture)
    db.tables.work(once=True)
    assert reader.execute(ROW, [id]).fetchall() == [(None, None)]
    role = Identifier(roles["reader"])
    db.connection.execute(SQL("REVOKE SELECT ON spocdb.photos FROM {}").format(role))
    assert reader.execute("SELECT FROM spocdb.queries").fetchall() == []
    with pytest.raises(psycopg.errors.UndefinedObject):
        ask(reader, picture)


@pytest.mark.parametrize("picture", [b"no picture", b"", b"\xff\xd8\xff\xe0 cut off"])
def test_a_broken_picture_is_answered(db: Database, reader: Connection, picture: bytes) -> None:
    id = ask(reader, picture)
    db.tables.work(once=True)
    ((error, message),) = reader.execute(ROW, [id]).fetchall()
    assert error == "unreadable-image"
    assert message and "\n" not in message


def test_what_cannot_be_embedded_is_answered_with_its_code(
    db: Database, photos: Path, environment: dict[str, str]
) -> None:
    picture = (photos / "0000.jpg").read_bytes()
    limits = WorkerOptions(replace(db.settings.limits, max_pixels=100))
    few_bytes = WorkerOptions(replace(db.settings.limits, max_bytes=100))
    for crop, options, code, said in (
        ([500, 500, 9, 9], None, "empty-crop", "holds no pixel of the 96 x 72 image"),
        (None, limits, "image-too-large", "96 x 72 pixels are over the limit of 100"),
        (None, few_bytes, "image-too-large", f"has {len(picture)} bytes, a worker takes 100 at"),
    ):
        id = ask(db.connection, picture, crop=crop)
        db.tables.work(once=True, options=options)
        ((error, message),) = db.connection.execute(ROW, [id]).fetchall()
        assert error == code and said in message
    # The owner's rows pass the policies; a collection may go before its queries are answered.
    owner = db.connection
    (unknown,) = connections.one_row(owner, INSERT, ["no such", picture])
    late = ask(owner, picture)
    db.drop("photos")
    db.tables.work(once=True)
    for id, name in ((unknown, "no such"), (late, "photos")):
        answer = ("collection-not-found", f"there is no collection named {name}")
        assert owner.execute(ROW, [id]).fetchall() == [answer]


def test_a_client_is_not_shown_the_worker_s_machine(
    url: str,
    make_photos: MakePhotos,
    random_recipe: dict[str, Any],
    environment: dict[str, str],
    tmp_path: Path,
    said: list[str],
) -> None:
    """Weights that another machine has never seen."""
    folder = make_photos(3)
    with Database(from_environment(url, environment)) as db:
        db.ingest(folder, collection="photos", **random_recipe)
        id = ask(db.connection, (folder / "0000.jpg").read_bytes())
    elsewhere = environment | {"SPOCDB_CACHE_DIR": str(tmp_path / "elsewhere")}
    with Database(from_environment(url, elsewhere)) as db:
        db.tables.work(once=True)
        answer = "a worker cannot describe pictures of photos: its log says why"
        found = db.connection.execute(ROW, [id]).fetchall()
        assert found == [("weights-not-found", answer)]
    assert [line for line in said if line.startswith("photos: a query cannot be answered: ")]


def test_what_the_table_refuses(reader: Connection) -> None:
    most = 32 * 2**20
    with pytest.raises(psycopg.errors.CheckViolation, match="picture_has_32_mb_at_most"):
        ask(reader, bytes(most + 1))
    with pytest.raises(psycopg.errors.CheckViolation, match="picture_is_there_until_answered"):
        reader.execute("SELECT spocdb.ask('photos', NULL)")
    for crop in ([1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, None], [[1, 2], [3, 4]], []):
        with pytest.raises(psycopg.errors.CheckViolation, match="crop_is_x_y_width_height"):
            ask(reader, b"", crop=crop)
    assert ask(reader, bytes(most))
    assert reader.execute("SELECT count(*) FROM spocdb.queries").fetchone() == (1,)


def test_rows_expire_and_lose_their_picture_when_answered(
    db: Database, photos: Path, reader: Connection
) -> None:
    picture = (photos / "0000.jpg").read_bytes()
    answered, late = ask(reader, picture), ask(reader, picture)
    expired = "UPDATE spocdb.queries SET expires_at = now() WHERE id = %s"
    db.connection.execute(expired, [late])
    db.tables.work(once=True)
    rows = "SELECT id, picture, expires_at > now() + interval '9 minutes' FROM spocdb.queries"
    assert reader.execute(rows).fetchall() == [(answered, None, True)]
    db.connection.execute(expired, [answered])
    db.tables.work(once=True)
    assert reader.execute("SELECT FROM spocdb.queries").fetchall() == []


def test_decoding_waits_for_memory_that_others_hold(
    db: Database, photos: Path, reader: Connection, wait_until: WaitUntil
) -> None:
    budget = of_process(db.settings.memory)
    id = ask(reader, (photos / "0000.jpg").read_bytes())
    is_answered = "SELECT tries, answered_at IS NOT NULL FROM spocdb.queries"
    with ThreadPoolExecutor() as threads:
        with budget.lent(budget.total):
            work = threads.submit(db.tables.work, once=True)
            wait_until(lambda: reader.execute(is_answered).fetchone() == (1, False))
            with pytest.raises(TimeoutError):
                work.result(0.5)
            assert reader.execute(is_answered).fetchone() == (1, False)
        work.result(60)
    assert reader.execute(ROW, [id]).fetchall() == [(None, None)]


def test_a_query_that_workers_were_lost_with_is_given_up(
    db: Database, photos: Path, reader: Connection
) -> None:
    picture = (photos / "0000.jpg").read_bytes()
    again, never = ask(reader, picture), ask(reader, picture)
    tries = "UPDATE spocdb.queries SET tries = %s WHERE id = %s"
    db.connection.execute(tries, [2, again])
    db.connection.execute(tries, [3, never])
    db.tables.work(once=True)
    assert reader.execute(ROW, [again]).fetchall() == [(None, None)]
    answer = ("process-lost", "3 workers were lost while they had it")
    assert reader.execute(ROW, [never]).fetchall() == [answer]


def test_a_worker_of_an_earlier_release_may_answer_after_an_upgrade(
    db: Database, role: str, url: str, photos: Path, environment: dict[str, str]
) -> None:
    db.grant_worker(role)
    ask(db.connection, b"lost with the table")
    db.pca.rollback("photos")
    db.close()
    schema.downgrade(url, "0.1.0")
    with connections.connect(url) as owner:
        found = owner.execute("SELECT to_regclass('spocdb.queries'), to_regproc('spocdb.ask')")
        assert found.fetchone() == (None, None)
    schema.upgrade(url)
    as_worker = psycopg.conninfo.make_conninfo(url, user=role)
    with connections.connect(url) as owner:
        id = ask(owner, (photos / "0000.jpg").read_bytes())
        with Database(from_environment(as_worker, environment)) as worker:
            worker.tables.work(once=True)
        assert owner.execute(ROW, [id]).fetchall() == [(None, None)]
