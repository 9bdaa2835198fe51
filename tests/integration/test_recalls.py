"""Searches as wide as the wanted recall needs, by what was measured of their index."""

from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import collections, connections, curves, indexes, recalls
from spocdb.db.collections import Collection
from spocdb.errors import InvalidValue
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
MakeTemplate = Callable[[Callable[[connections.Connection], None]], str]

pytestmark = pytest.mark.usefixtures("measured_well")

WIDTH = "SELECT spocdb.ef_search(%s, %s, %s)"
CURVE = "SELECT k, ef_search, recall FROM spocdb.recalls ORDER BY k, ef_search"


@pytest.fixture(scope="module")
def poor_template(make_template: MakeTemplate, add_images: AddImages, clustered: Clustered) -> str:
    """Return the name of a database whose index has few links, so that narrow scans miss images."""

    def fill(connection: connections.Connection) -> None:
        target = add_images(connection, clustered(2150)[:2000])
        indexes.build(connection, target, 1, "hnsw-vector")
        connection.execute("DROP INDEX spocdb.embeddings_1_1_hnsw")
        connection.execute(
            "CREATE INDEX embeddings_1_1_hnsw ON spocdb.embeddings_1_1 "
            "USING hnsw (embedding vector_ip_ops) WITH (m = 3, ef_construction = 8)"
        )
        recalls.measure(connection, target, 1)

    return make_template(fill)


@pytest.fixture
def poor(db: Database) -> Collection:
    """Return the collection of that database."""
    return collections.get(db.connection, "photos")


def width(db: Database, k: int = 10) -> int:
    row = db.connection.execute(WIDTH, [1, 1, k]).fetchone()
    assert row is not None
    return int(row[0])


def test_the_narrowest_scan_with_the_wanted_recall_is_taken(db: Database, poor: Collection) -> None:
    curve = db.connection.execute(CURVE).fetchall()
    of_ten = {ef: recall for k, ef, recall in curve if k == 10}
    assert list(of_ten)[:2] == [16, 24] and {k for k, _, _ in curve} == {10, 30, 100}
    assert all(ef >= k for k, ef, _ in curve)
    assert of_ten[16] < of_ten[100], "a poor index"
    for wanted in (of_ten[16], (of_ten[16] + of_ten[100]) / 2, of_ten[100]):
        db.connection.execute("SELECT set_config('spocdb.recall', %s, false)", [str(wanted)])
        assert width(db) == min(ef for ef, recall in of_ten.items() if recall >= wanted)
        assert width(db, 3) == width(db)
        assert width(db, 11) == width(db), "an image and the ten nearest to it"
        assert width(db, 20) >= width(db)
    # What no scan reaches is searched for as widely as was measured.
    db.connection.execute("SET spocdb.recall = 1")
    widest = max(of_ten, key=lambda ef: (of_ten[ef] == 1, ef))
    assert width(db) == (
        min(ef for ef in of_ten if of_ten[ef] == 1) if 1 in of_ten.values() else widest
    )
    assert width(db, 102) == 102
    db.connection.execute("RESET spocdb.recall")
    # Its queries are found by the index, and so by other widths than before.
    db.index.measure(recall=of_ten[16])
    again = [(ef, recall) for k, ef, recall in db.connection.execute(CURVE) if k == 10]
    assert width(db) == min(ef for ef, recall in again if recall >= of_ten[16])


def test_searches_find_as_much_as_is_wanted(
    db: Database, poor: Collection, clustered: Clustered
) -> None:
    # Of the same kind as the images, and none of them.
    queries = clustered(2150)[2000:]
    statement = "SELECT id FROM spocdb.search('photos', %s, exact => %s)"

    def found(exact: bool) -> list[set[int]]:
        asked = ([Vector(query), exact] for query in queries)
        return [{row[0] for row in db.connection.execute(statement, a)} for a in asked]

    truth = found(True)

    def recall() -> float:
        return sum(len(a & b) for a, b in zip(found(False), truth, strict=True)) / 1500

    for wanted in (0.5, 0.9, 0.95):
        db.connection.execute("SELECT set_config('spocdb.recall', %s, false)", [str(wanted)])
        # Measured by a hundred other queries, of an index that is built from random levels.
        assert wanted - 0.05 <= recall() <= wanted + 0.25


def test_one_search_may_ask_for_another_recall(db: Database, poor: Collection, spocdb: Run) -> None:
    narrow, wide = (db.similar(1, 10, recall=recall) for recall in (0.01, 1.0))
    assert [hit.distance for hit in narrow] >= [hit.distance for hit in wide]
    assert db.connection.execute("SELECT current_setting('spocdb.recall', true)").fetchone() in (
        ("",),
        (None,),
    )
    with pytest.raises(InvalidValue, match="recall"):
        db.similar(1, recall=0)
    done = spocdb("search", "--id", "1", "--recall", "1.5")
    assert done.returncode == 1 and "--recall" in done.stderr.splitlines()[-1]
    assert spocdb("search", "--id", "1", "--recall", "0.9").returncode == 0
    with pytest.raises(InvalidValue, match="recall"):
        db.index.measure(recall=float("nan"))


def test_a_setting_that_is_no_recall_is_refused(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(50))
    db.index.build()
    for value in ("much", "0", "1.01", "NaN", "-1"):
        db.connection.execute("SELECT set_config('spocdb.recall', %s, false)", [value])
        said = f"spocdb.recall is '{value}'"
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=said):
            db.connection.execute("SELECT * FROM spocdb.similar('photos', 1)")


def test_without_a_measure_searches_are_as_wide_as_before(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(300))
    assert db.connection.execute(CURVE).fetchall() == []
    assert (width(db), width(db, 250)) == (100, 250)
    db.index.build()
    assert width(db) == 16


def test_a_large_index_is_measured_when_it_has_grown(
    db: Database, poor: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not recalls.is_due(db.connection, poor, 1), "too few images"
    monkeypatch.setattr(recalls, "FEWEST", 1000)
    assert not recalls.is_due(db.connection, poor, 1)
    values = {"collection": poor.id, "projection": 1}
    db.connection.execute(
        "UPDATE spocdb.embedding_tables SET recall_settings = "
        "recall_settings || '{\"rows\": 1500}' WHERE collection_id = %(collection)s",
        values,
    )
    assert recalls.is_due(db.connection, poor, 1)
    recalls.forget(db.connection, poor, 1)
    assert recalls.is_due(db.connection, poor, 1)
    assert db.connection.execute(CURVE).fetchall() == []


def test_more_images_are_measured_by_more_queries(
    db: Database, poor: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "SELECT (recall_settings ->> 'queries')::integer FROM spocdb.embedding_tables"
    assert db.connection.execute(asked).fetchone() == (curves.FEWEST,)
    by_few = db.connection.execute(CURVE).fetchall()
    monkeypatch.setattr(curves, "IMAGES_A_QUERY", 2)
    monkeypatch.setattr(curves, "MOST", 300)
    recalls.measure(db.connection, poor, 1)
    assert db.connection.execute(asked).fetchone() == (curves.MOST,)
    by_many = db.connection.execute(CURVE).fetchall()
    for (k, ef, few), (*width, many) in zip(by_few, by_many, strict=True):
        assert [k, ef] == width and many == pytest.approx(few, abs=0.15)


def test_recalls_are_those_of_exact_scans(db: Database, poor: Collection) -> None:
    index = curves._Index(db.connection, poor, 1, "hnsw-vector")
    queries = index.queries(20)
    nearest = index._nearest(queries)
    statement = """
        SELECT array_agg(distance ORDER BY distance)
        FROM spocdb.search('photos', %s, 100, exact => true)
    """
    exact = [db.connection.execute(statement, [Vector(q)]).fetchall()[0][0] for q in queries]
    np.testing.assert_allclose(nearest, exact, atol=1e-6)
