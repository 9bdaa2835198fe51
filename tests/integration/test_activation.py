"""Activation is one transaction: searches, ingests, rights and views keep working."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector
from psycopg.sql import SQL, Identifier

from spocdb.db import collections, connections, embeddings, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.errors import DatabaseError, ProjectionNotFound, UnreadableImage
from spocdb.records import Float32Array, ImageRef, Recipe
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Meanwhile = Callable[..., AbstractContextManager[None]]

TABLES = "SELECT to_regclass('spocdb.embeddings_1_' || %s) IS NOT NULL"


def count(db: Database, table: str) -> int:
    row = db.connection.execute(SQL("SELECT count(*) FROM spocdb.{}").format(Identifier(table)))
    return int((row.fetchone() or (0,))[0])


@pytest.mark.slow
def test_searches_and_an_ingest_go_on_during_activation(
    db: Database, add_images: AddImages, clustered: Clustered, meanwhile: Meanwhile
) -> None:
    rows = clustered(2000)
    first = add_images(db.connection, rows[:600])
    db.index.build("photos")
    numbers = [1, db.pca.fit(dim=8), db.pca.fit(dim=16), db.pca.fit(dim=8, whiten=False)]
    query = Vector(rows[0])
    opened = [connections.connect(db.url) for _ in range(4)]
    truth = {
        str(h.id): h.path for h in db.similar(1, 599, exact=True)
    }  # an image's path never changes
    written = 600

    def search_by_view() -> None:
        found = (
            opened[0]
            .execute(
                "SELECT path, vector_dims(embedding) FROM spocdb.photos "
                "ORDER BY embedding <#> spocdb.embed('photos', %s) LIMIT 10",
                [query],
            )
            .fetchall()
        )
        assert len(found) == 10
        assert found[0][0] == "/photos/000000.jpg"
        assert len({dim for _, dim in found}) == 1, "a mix of two projections"

    def search_by_function() -> None:
        found = (
            opened[1]
            .execute(
                "SELECT id, path, distance FROM "
                "spocdb.search('photos', spocdb.embed('photos', %s))",
                [query],
            )
            .fetchall()
        )
        assert len(found) == 10
        assert found[0][1] == "/photos/000000.jpg"
        assert found[0][2] == pytest.approx(0, abs=1e-3)
        assert all(truth.get(str(id_), path) == path for id_, path, _ in found)

    def search_by_id() -> None:
        found = opened[2].execute("SELECT * FROM spocdb.similar('photos', 2, 5)").fetchall()
        assert len(found) == 5

    def ingest() -> None:
        nonlocal written
        if written < len(rows):
            add_images(opened[3], rows[written : written + 20], first=written)
            written += 20
        else:
            time.sleep(0.01)

    with meanwhile(search_by_view, search_by_function, search_by_id, ingest):
        for number in (*numbers[1:], *numbers):
            db.pca.activate(number)
    for connection in opened:
        connection.close()
    assert written > 640, "the ingest did not run meanwhile"
    assert [count(db, f"embeddings_1_{number}") for number in numbers] == [written] * 4
    assert count(db, "photos") == written
    assert collections.get(db.connection, "photos").active_projection_id == numbers[-1]
    # Each table has each image's embedding by its own projection, whichever program wrote it.
    for number in numbers:
        (worst,) = db.connection.execute(
            SQL(
                "SELECT min(-(e.embedding::vector <#> spocdb.project(d.descriptor::vector, {n}))) "
                "FROM spocdb.{table} e JOIN spocdb.images i ON i.id = e.image_id "
                "JOIN spocdb.descriptors d USING (sha256)"
            ).format(n=number, table=Identifier(f"embeddings_1_{number}"))
        ).fetchone() or (0,)
        assert worst > 0.999
    assert first.id == 1


def test_images_that_are_replaced_while_a_table_is_filled_keep_the_new_embedding(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(100)
    target = add_images(db.connection, rows[:50])
    embeddings.add(db.connection, target, number := db.pca.fit(dim=8))
    with connections.connect(db.url) as reader, connections.connect(db.url) as writer:

        def replace_first(raw: Float32Array) -> Float32Array:
            # The reader has read all old descriptors; nothing is written yet.
            add_images(db.connection, rows[50:], first=0)
            return np.zeros((len(raw), 8), np.float32)

        filled = list(embeddings.fill(reader, writer, target, number, replace_first))
    assert filled == [50]
    assert count(db, f"embeddings_1_{number}") == 50
    lengths = db.connection.execute(
        f"SELECT vector_norm(embedding) FROM spocdb.embeddings_1_{number}"
    )
    assert all(row[0] == pytest.approx(1, abs=1e-5) for row in lengths)


@pytest.fixture
def of_another(
    db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe
) -> tuple[Collection, int]:
    """Return a collection with an empty table of another extractor with stored descriptors."""
    target = add_images(db.connection, clustered(100)[:50])
    other = add_images(db.connection, clustered(100)[:50], "b", replace(made_up, size=320))
    embeddings.add(db.connection, target, other.active_projection_id)
    return target, other.active_projection_id


def test_a_table_of_another_extractor_is_filled_from_its_descriptors(
    db: Database, of_another: tuple[Collection, int], add_images: AddImages, clustered: Clustered
) -> None:
    target, number = of_another
    add_images(db.connection, clustered(5, seed=1), first=50)
    assert count(db, f"embeddings_1_{number}") == 0, "no batch can fill it"
    message = r"by which 5 images of photos have no descriptor: run `db\.reembed\('squee"
    with pytest.raises(DatabaseError, match=message):
        db.pca.activate(number, "photos")
    db.connection.execute("DELETE FROM spocdb.images WHERE id > 100")
    db.pca.activate(number, "photos")
    assert count(db, "photos") == 50
    now = collections.get(db.connection, "photos")
    assert now.extractor_id == collections.get(db.connection, "b").extractor_id
    assert now.extractor_id != target.extractor_id
    assert db.pca.rollback("photos") == target.active_projection_id
    assert collections.get(db.connection, "photos").extractor_id == target.extractor_id


def test_an_image_that_is_replaced_loses_its_embedding_by_another_extractor(
    db: Database, of_another: tuple[Collection, int], add_images: AddImages, clustered: Clustered
) -> None:
    target, number = of_another
    with connections.connect(db.url) as reader:
        list(embeddings.fill(reader, db.connection, target, number, lambda raw: raw))
    assert count(db, f"embeddings_1_{number}") == 50
    add_images(db.connection, clustered(10, seed=1))
    assert count(db, f"embeddings_1_{number}") == 40
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="still lacks 10 images"):
        embeddings.activate(db.connection, target, number)


def test_images_that_are_replaced_while_such_a_table_is_filled_are_left_out(
    db: Database, of_another: tuple[Collection, int], add_images: AddImages, clustered: Clustered
) -> None:
    target, number = of_another
    with connections.connect(db.url) as reader, connections.connect(db.url) as writer:

        def replace_some(raw: Float32Array) -> Float32Array:
            # The reader has read all old descriptors; nothing is written yet.
            add_images(db.connection, clustered(10, seed=1))
            return raw

        list(embeddings.fill(reader, writer, target, number, replace_some))
    assert count(db, f"embeddings_1_{number}") == 40


def test_a_batch_of_the_extractor_before_is_refused(
    db: Database, of_another: tuple[Collection, int]
) -> None:
    target, number = of_another
    db.pca.activate(number, "photos")
    writing.make_staging(db.connection)
    failed = Batch(failures=[(ImageRef("/a.jpg", "1 1"), UnreadableImage("it is none"))])
    with pytest.raises(DatabaseError, match="changed its extractor meanwhile: run the same com"):
        writing.write(db.connection, target, failed, lambda _, raw: raw)
    assert list(db.failures()) == []
    now = collections.get(db.connection, "photos")
    writing.write(db.connection, now, failed, lambda _, raw: raw)


def ones(raw: Float32Array) -> Float32Array:
    """Return random embeddings of length one."""
    return np.full((len(raw), 8), 8**-0.5, np.float32)


def test_images_that_are_deleted_while_a_table_is_filled_stay_deleted(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(50))
    embeddings.add(db.connection, target, number := db.pca.fit(dim=8))
    with connections.connect(db.url) as reader, connections.connect(db.url) as writer:

        def delete_some(raw: Float32Array) -> Float32Array:
            db.connection.execute("DELETE FROM spocdb.images WHERE id <= 10")
            return ones(raw)

        list(embeddings.fill(reader, writer, target, number, delete_some))
    assert count(db, f"embeddings_1_{number}") == 40
    db.pca.activate(number)


def test_an_activation_that_was_interrupted_goes_on(
    db: Database, add_images: AddImages, clustered: Clustered, said: list[str]
) -> None:
    target = add_images(db.connection, clustered(100))
    number = db.pca.fit(dim=8)
    embeddings.add(db.connection, target, number)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="still lacks 100 images"):
        db.connection.execute("SELECT spocdb.activate(1, %s)", [number])
    with (
        connections.connect(db.url) as reader,
        connections.connect(db.url) as writer,
        pytest.raises(KeyboardInterrupt),
    ):
        for _ in embeddings.fill(
            reader,
            writer,
            target,
            number,
            lambda raw: np.eye(8, dtype=np.float32)[np.zeros(len(raw), int)],
        ):
            raise KeyboardInterrupt
    said.clear()
    db.connection.execute(f"DELETE FROM spocdb.embeddings_1_{number} WHERE image_id <= 30")
    db.pca.activate(number)
    assert said[0] == f"projection {number}: 30 images embedded"
    assert count(db, "photos") == 100


def test_rollback_is_the_same_backwards_and_instant(
    db: Database, add_images: AddImages, clustered: Clustered, said: list[str]
) -> None:
    add_images(db.connection, clustered(100))
    with pytest.raises(ProjectionNotFound, match="photos has no projection to go back to"):
        db.pca.rollback()
    db.index.build("photos")
    number = db.pca.fit(dim=8)
    answers = {1: db.similar(1)}
    db.pca.activate(number)
    answers[number] = db.similar(1)
    add_images(db.connection, clustered(10, seed=1), first=100)
    assert answers[1] != answers[number]
    for expected in (1, number, 1):
        said.clear()
        assert db.pca.rollback() == expected
        assert said == [], "nothing is built again"
        assert count(db, "photos") == 110
        assert {h.id for h in answers[expected]} & {h.id for h in db.similar(1, 20)}
    db.pca.drop(number, "photos")
    with pytest.raises(ProjectionNotFound, match="no projection to go back to"):
        db.pca.rollback()


def test_activating_the_active_one_again_keeps_the_way_back(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(100))
    db.pca.activate(number := db.pca.fit(dim=8))
    db.pca.activate(number)
    assert db.pca.rollback() == 1


def test_reading_ahead_ends_with_whoever_writes(db: Database) -> None:
    asleep = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)'"
    with db.engine.connect() as reader:

        def chunks() -> Iterator[Any]:
            yield "the first"
            reader.execute("SELECT pg_sleep(100)")

        ahead = embeddings._ahead(reader, chunks())
        assert next(ahead) == "the first"
        while not db.connection.execute(asleep).fetchall():
            pass
        ahead.close()  # type: ignore[attr-defined]
        # The block did not wait for a result, and the connection still works.
        assert db.connection.execute(f"{asleep} AND state = 'active'").fetchall() == []
        assert reader.execute("SELECT 1").fetchone() == (1,)
