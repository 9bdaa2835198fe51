"""Projecting in SQL gives what projecting in Python gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import projections
from spocdb.db.collections import Collection
from spocdb.features.projection import project
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]


@pytest.mark.parametrize("options", [{}, {"whiten": False}, {"centre": False}, None])
def test_projecting_in_sql_equals_projecting_in_python(
    db: Database, add_images: AddImages, clustered: Clustered, options: dict[str, Any] | None
) -> None:
    add_images(db.connection, clustered(300, 128))
    number = 1 if options is None else db.pca.fit(dim=64, **options)
    rows = clustered(50, 128, seed=1)
    found = db.connection.cursor()
    found.executemany(
        "SELECT spocdb.project(%s, %s)", [(Vector(r), number) for r in rows], returning=True
    )
    embeddings = []
    for _ in rows:
        (value,) = found.fetchone() or (None,)
        embeddings.append(value.to_numpy())
        found.nextset()
    expected = project(rows, projections.load(db.connection, number))
    np.testing.assert_allclose(np.array(embeddings), expected, rtol=0, atol=1e-5)


def test_embed_projects_by_the_active_projection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    query = Vector(clustered(1, seed=1)[0])
    for number in (1, db.pca.fit(dim=8)):
        db.pca.activate(number)
        row = db.connection.execute(
            "SELECT spocdb.embed('photos', %s) = spocdb.project(%s, %s)", [query, query, number]
        ).fetchone()
        assert row == (True,)


def test_no_vector_no_projection_and_no_collection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    query = Vector(clustered(1)[0])
    row = db.connection.execute(
        "SELECT spocdb.project(NULL, 1), spocdb.project(%s, NULL), spocdb.project(%s, 99), "
        "spocdb.embed('photos', NULL)",
        [query, query],
    ).fetchone()
    assert row == (None,) * 4
    # NULL instead of an error would order a search's results by nothing.
    with pytest.raises(psycopg.errors.UndefinedObject, match="no collection named nothing"):
        db.connection.execute("SELECT spocdb.embed('nothing', %s)", [query])
    with pytest.raises(psycopg.errors.UndefinedObject, match="no collection named <NULL>"):
        db.connection.execute("SELECT spocdb.embed(NULL, %s)", [query])


@pytest.mark.parametrize("kind", ["raw", "pca"])
def test_projecting_a_vector_of_another_dimension_is_an_error(
    db: Database, add_images: AddImages, clustered: Clustered, kind: str
) -> None:
    add_images(db.connection, clustered(60))
    number = 1 if kind == "raw" else db.pca.fit(dim=8)
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions 7 and 32"):
        db.connection.execute("SELECT spocdb.project(%s, %s)", [Vector(np.ones(7)), number])
