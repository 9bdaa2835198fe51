"""Projections: fitted exactly in one pass, immutable, portable, and computable in SQL."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from spocdb.db import projections
from spocdb.db.collections import Collection
from spocdb.errors import (
    CollectionNotFound,
    ConfigError,
    DatabaseError,
    NotEnoughSamples,
    ProjectionNotFound,
)
from spocdb.features.projection import Moments, fit, project
from spocdb.records import Float32Array, Recipe
from tests.fixtures.equality import assert_equal
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]


def test_a_streamed_fit_is_the_pca_of_all_rows(
    gallery: Database, gallery_rows: Float32Array
) -> None:
    # 5000 rows are read in more than one chunk.
    rows = gallery_rows.astype(np.float64)
    _, fitted = gallery.pca.show(2)
    _, singular_values, components = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(fitted.singular_values, singular_values[:64], rtol=1e-9)
    np.testing.assert_allclose(
        np.abs((fitted.components * components[:64]).sum(axis=1)), 1, atol=1e-6
    )
    np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), atol=1e-7)


def test_everything_it_was_fitted_on_is_recorded(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60), "a")
    add_images(db.connection, clustered(60, seed=1), "b")
    number = db.pca.fit("b", "a", dim=8, whiten=False, regularisation=0.5)
    summary, projection = db.pca.show(number)
    assert summary.kind == "pca"
    assert (summary.dim, summary.n_samples) == (8, 120)
    assert summary.settings == {"dim": 8, "whiten": False, "centre": True, "regularisation": 0.5}
    assert summary.fitted_on["collections"] == ["a", "b"]
    assert summary.fitted_on["n_images"] == 120
    assert len(summary.fitted_on["images_sha256"]) == 64
    assert (summary.embedded, summary.active) == ([], [])
    expected = fit(
        Moments.of(np.concatenate([clustered(60), clustered(60, seed=1)])),
        8,
        whiten=False,
        regularisation=0.5,
    )
    np.testing.assert_allclose(projection.components, expected.components, atol=1e-5)


def test_shrinkage_by_held_out_likelihood_is_stored_as_a_number(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60), "few")
    add_images(db.connection, clustered(3000, seed=1), "many")
    few, many = (db.pca.fit(name, dim=8, regularisation="auto") for name in ("few", "many"))
    found = [float(str(db.pca.show(n)[0].settings["regularisation"])) for n in (few, many)]
    assert found[0] > found[1] > 0
    # The same images: the same number, and so the same projection.
    assert db.pca.fit("few", dim=8, regularisation=found[0]) == few
    assert db.pca.fit("few", dim=8, regularisation="auto") == few
    unwhitened = db.pca.fit("few", dim=8, whiten=False, regularisation="auto")
    assert db.pca.show(unwhitened)[0].settings["regularisation"] == 0


def test_the_same_images_give_the_same_fingerprint_anywhere(
    db: Database, other: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(80)
    add_images(db.connection, rows)
    # In another order, in two batches, under two names each, and in another collection.
    add_images(other.connection, rows[:-50:-1], "mine")
    add_images(other.connection, rows, "mine", first=100)
    first, second = db.pca.fit(dim=8), other.pca.fit(dim=8)
    assert_equal(db.pca.show(first)[1], other.pca.show(second)[1])
    recorded = [d.pca.show(n)[0].fitted_on for d, n in ((db, first), (other, second))]
    assert recorded[0]["images_sha256"] == recorded[1]["images_sha256"]
    assert db.pca.fit(dim=8) == first, "the same numbers are stored once"
    assert db.pca.fit(dim=7) != first


def test_a_version_stays_as_it_was_when_images_come(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    first = db.pca.fit(dim=8)
    before = db.pca.show(first)
    add_images(db.connection, clustered(60, seed=1), first=60)
    second = db.pca.fit(dim=8)
    assert second != first
    assert db.pca.show(first)[0] == before[0]
    assert_equal(db.pca.show(first)[1], before[1])
    assert db.pca.show(second)[0].n_samples == 120


def test_too_few_images_are_an_error_that_says_how_many_are_needed(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, np.repeat(clustered(8), 3, axis=0))
    with pytest.raises(NotEnoughSamples, match=r"^8 images are too few for 8 .* 9 are the least"):
        db.pca.fit(dim=8)
    assert [p.kind for p in db.pca.list()] == ["raw"]


def test_collections_of_two_extractors_are_refused(
    db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe
) -> None:
    add_images(db.connection, clustered(60), "a")
    add_images(db.connection, clustered(60, seed=1), "b", replace(made_up, size=320))
    with pytest.raises(ConfigError, match=r"one extractor, these have several: a \(.*b \("):
        db.pca.fit("a", "b", dim=8)
    number = db.pca.fit("a", dim=8)
    with pytest.raises(DatabaseError, match=r"60 images of b have no .* run `db\.reembed\('squee"):
        db.pca.activate(number, "b")
    assert db.pca.show(number)[0].embedded == []


def test_a_new_fit_reaches_the_embeddings_without_any_image(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    # There are no files and no weights, only the database.
    rows = clustered(200)
    add_images(db.connection, rows)
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    expected = project(rows, projections.load(db.connection, number))
    statement = "SELECT spocdb.embedding('photos', id) FROM spocdb.photos ORDER BY path"
    found = db.connection.execute(statement).fetchall()
    np.testing.assert_array_equal(np.array([row[0].to_numpy() for row in found]), expected)


def test_what_is_in_use_is_not_dropped(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    with pytest.raises(ConfigError, match=f"projection {number} is the active one of photos"):
        db.pca.drop(number, "photos")
    with pytest.raises(DatabaseError, match=r"still embeds photos: run `db\.pca\.drop\(2, coll"):
        db.pca.drop(number)
    with pytest.raises(DatabaseError, match="the extractor's raw one and stays"):
        db.pca.drop(1)
    with pytest.raises(ProjectionNotFound, match=r"no projection 99: see `db.pca.list"):
        db.pca.drop(99)
    with pytest.raises(ProjectionNotFound, match="no projection 99"):
        db.pca.activate(99)
    with pytest.raises(CollectionNotFound, match="no collection named nothing"):
        db.pca.activate(number, "nothing")
    db.pca.activate(1)
    db.pca.drop(number, "photos")
    db.pca.drop(number)
    assert [p.id for p in db.pca.list()] == [1]
    assert [s.projection for s in db.index.status()] == [1]


def test_too_few_dimensions_and_images_are_said_at_once(
    db: Database, add_images: AddImages, clustered: Clustered, app: Any, said: list[str]
) -> None:
    add_images(db.connection, clustered(60))
    ran = CliRunner().invoke(app, ["pca", "fit", "--dim", "4", "--db", db.url])
    assert ran.exit_code == 0
    assert re.match(r"warning: 4 dimensions keep \d+% of the variance", ran.stderr)
    said.clear()
    db.pca.fit(dim=30)
    assert said == [
        "warning: 60 images are few for whitening 30 dimensions, 90 or more are better: "
        "fit on more, or with `whiten=False`"
    ]


def test_pca_fit_fits_on_the_collection_that_is_named(
    db: Database, spocdb: Callable[..., Any], add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    add_images(db.connection, clustered(50, seed=1), name="shoes")
    ran = spocdb("pca", "fit", "--collection", "shoes", "--dim", 8)
    assert "fitted on 50 images of shoes" in ran.stdout
