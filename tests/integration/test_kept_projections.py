"""Searches by a projection that a collection keeps beside the active one, in SQL and in Python."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import connections
from spocdb.db import search as db_search
from spocdb.errors import ProjectionNotFound
from spocdb.features.projection import project
from spocdb.records import Float32Array, Refinement
from tests.fixtures.opened import Database

LogIn = Callable[[str], Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

# The collection's projections are 1, the raw one, and 2, which is active.
KEPT, ACTIVE, QUERY = 1, 2, 7
IS_UNKNOWN = "collection photos has no embeddings by projection 99: see `db.pca.list()`"

OVERLOADS = """
SELECT proname FROM pg_proc WHERE pronamespace = 'spocdb'::regnamespace
GROUP BY proname HAVING count(*) > 1
"""


@pytest.mark.parametrize("refinement", [Refinement(), Refinement(expand=3, rerank=20)])
def test_a_kept_projection_answers_as_it_would_if_it_were_active(
    gallery: Database, refinement: Refinement
) -> None:
    options: dict[str, Any] = {"refinement": refinement, "filter": {"even": True}}
    by_active = gallery.similar(QUERY, 10, **options)
    by_kept = gallery.similar(QUERY, 10, projection=KEPT, **options)
    assert gallery.similar(QUERY, 10, projection=ACTIVE, **options) == by_active != by_kept
    gallery.pca.activate(KEPT)
    assert gallery.similar(QUERY, 10, **options) == by_kept
    assert gallery.similar(QUERY, 10, projection=ACTIVE, **options) == by_active


def test_a_kept_projection_is_searched_by_its_own_index(gallery: Database) -> None:
    gallery.connection.autocommit = False
    hits = db_search.similar(gallery.connection, "photos", QUERY, 10, {}, exact=False, projection=1)
    assert {hit.method for hit in hits} == {"hnsw"}
    (scans,) = gallery.connection.execute(
        "SELECT ARRAY[pg_stat_get_xact_numscans('spocdb.embeddings_1_1_hnsw'::regclass),"
        " pg_stat_get_xact_numscans('spocdb.embeddings_1_2_hnsw'::regclass)]"
    ).fetchone() or ([],)
    assert scans == [1, 0]
    gallery.connection.rollback()


def test_sql_embeds_and_expands_by_a_kept_projection(
    gallery: Database, gallery_queries: Float32Array
) -> None:
    raw = gallery_queries[0]
    for number in (KEPT, ACTIVE):
        _, projection = gallery.pca.show(number)
        found = db_search.embed(gallery.connection, "photos", raw, number)
        np.testing.assert_allclose(found, project(raw[None], projection)[0], atol=1e-5)
    statement = """
        SELECT spocdb.expand('photos', %(query)s, 3, 3, false, 1), count(*)
        FROM spocdb.search('photos', %(query)s, projection => 1)
    """
    query = db_search.embed(gallery.connection, "photos", raw, KEPT)
    row = gallery.connection.execute(statement, {"query": Vector(query)}).fetchone()
    assert row is not None and row[1] == 10
    by_python = db_search.expand(
        *(gallery.connection, "photos", query, 3, 3.0), exact=False, projection=KEPT
    )
    np.testing.assert_array_equal(row[0].to_numpy(), by_python)
    assert len(by_python) == 256


def test_no_function_has_two_signatures_between_which_a_call_is_ambiguous(
    gallery: Database,
) -> None:
    rows = gallery.connection.execute(OVERLOADS).fetchall()
    # By the type of the key.
    assert rows == [("similar_rows",)]
    query = Vector(np.ones(64, np.float32))
    for call in ("search('photos', %s)", "search('photos', %s, 3, '{}', false)"):
        assert gallery.connection.execute(f"SELECT FROM spocdb.{call}", [query]).fetchall()


def test_a_projection_that_is_not_kept_is_named(gallery: Database, make_photos: Any) -> None:
    picture = make_photos(1) / "0000.jpg"
    calls: list[Callable[[], object]] = [
        lambda: gallery.similar(QUERY, projection=99),
        lambda: gallery.similar(QUERY, projection=99, refinement=Refinement(rerank=5)),
        lambda: gallery.search(picture, projection=99),
        lambda: gallery.embed(picture, projection=99),
    ]
    for call in calls:
        with pytest.raises(ProjectionNotFound) as caught:
            call()
        assert str(caught.value) == IS_UNKNOWN
    with pytest.raises(ProjectionNotFound, match=f"by projection {2**70}"):
        gallery.similar(QUERY, projection=2**70)
    with pytest.raises(ProjectionNotFound, match="by projection 99"), connections.wrapped():
        db_search.embedding(gallery.connection, "photos", QUERY, 99)
    gallery.pca.drop(KEPT, "photos")
    with pytest.raises(ProjectionNotFound, match="has no embeddings by projection 1"):
        gallery.similar(QUERY, projection=KEPT)


def test_a_null_finds_nothing_as_it_always_did(gallery: Database) -> None:
    row = gallery.connection.execute(
        "SELECT spocdb.embed('photos', NULL), spocdb.embedding('photos', NULL),"
        " (SELECT count(*) FROM spocdb.similar('photos', NULL)),"
        " (SELECT count(*) FROM spocdb.search('photos', NULL))"
    ).fetchone()
    assert row == (None, None, 0, 0)
    with pytest.raises(psycopg.errors.UndefinedObject, match="there is no collection named"):
        gallery.connection.execute("SELECT spocdb.embedding(NULL, 1)")


def test_a_query_is_described_by_the_extractor_of_the_projection(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    folder = make_photos(8)
    db.ingest(folder, **recipe)
    query = folder / "0003.jpg"
    before, embedded = db.search(query, 8), db.embed(query)
    old = db.collections()[0].projection
    new = db.reembed(**recipe | {"size": 96, "pooling": "max"})
    after = db.search(query, 8)
    assert [hit.distance for hit in after] != [hit.distance for hit in before]
    assert db.search(query, 8, projection=old) == before
    assert db.search(query, 8, projection=new) == after
    np.testing.assert_array_equal(db.embed(query, projection=old), embedded)
    assert before[0].distance < 1e-3 and before[0].path == str(query)


def test_a_reader_searches_by_any_kept_projection_of_its_collection(
    granted: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    number = granted.db.pca.fit("products", dim=2)
    granted.db.pca.activate(number, "products")
    (secret,) = granted.execute(
        "SELECT active_projection_id FROM spocdb.collections WHERE name = 'secret'"
    ).fetchone()
    (image,) = granted.execute("SELECT min(image_id) FROM spocdb.secret").fetchone()
    execute = log_in(roles["reader"]).execute
    for projection, dim in ((secret, 256), (number, 2)):
        row = execute("SELECT spocdb.embedding('products', 1, %s)", [projection]).fetchone()
        assert row[0].dimensions() == dim
        found = execute("SELECT FROM spocdb.similar('products', 1, projection => %s)", [projection])
        assert len(found.fetchall()) == 5
    # Whether another collection has a projection is not told either.
    for projection in (secret, 99):
        for call in ("embedding('secret', %s, %s)", "similar('secret', %s, projection => %s)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(f"SELECT spocdb.{call}", [image, projection])
    with pytest.raises(psycopg.errors.UndefinedParameter, match="products has no embeddings by"):
        execute("SELECT spocdb.embedding('products', 1, 99)")
