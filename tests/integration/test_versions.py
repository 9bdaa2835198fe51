"""The versions of a collection: what embeds it, what could, and what each explains."""

from typing import Any

import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from spocdb import CollectionNotFound, ProjectionVersion
from spocdb.settings import from_environment
from tests.fixtures.opened import Database


def by_number(db: Database, collection: str = "photos") -> dict[int, ProjectionVersion]:
    return {one.number: one for one in db.pca.versions(collection)}


def test_active_previous_kept_and_only_fitted(gallery: Database) -> None:
    fitted = gallery.pca.fit("photos", dim=8, whiten=False)
    found = by_number(gallery)
    assert [*found] == [1, 2, fitted]
    states = {n: (v.is_active, v.is_previous, v.is_kept, v.is_indexed) for n, v in found.items()}
    assert states == {
        1: (False, True, True, True),
        2: (True, False, True, True),
        fitted: (False, False, False, False),
    }
    summaries = {one.id: one for one in gallery.pca.list()}
    for number, one in found.items():
        same = summaries[number]
        assert (one.kind, one.extractor, one.dim) == (same.kind, same.extractor, same.dim)
        assert (one.n_samples, one.settings, one.fitted_on, one.created_at) == (
            *(same.n_samples, same.settings, same.fitted_on, same.created_at),
        )
        _, projection = gallery.pca.show(number)
        np.testing.assert_allclose(one.explained, projection.explained, rtol=1e-6)
    assert found[1].explained == []
    with pytest.raises(CollectionNotFound):
        gallery.pca.versions("none")


def test_after_a_rollback(gallery: Database) -> None:
    gallery.pca.rollback()
    found = by_number(gallery)
    assert found[1].is_active and found[2].is_previous


def test_an_index_that_is_gone(gallery: Database) -> None:
    gallery.connection.execute("DROP INDEX spocdb.embeddings_1_1_hnsw")
    assert {n: v.is_indexed for n, v in by_number(gallery).items()} == {1: False, 2: True}


@pytest.mark.slow
def test_an_augmentation_is_a_version_of_its_own_collection(gallery: Database) -> None:
    number = gallery.pca.augment()
    assert by_number(gallery)[number].is_active
    gallery.pca.rollback()
    gallery.pca.drop(number, "photos")
    assert number not in by_number(gallery)


def test_projections_of_an_extractor_that_was_left_are_kept(
    db: Database, make_photos: Any, recipe: dict[str, Any]
) -> None:
    db.ingest(make_photos(6), collection="photos", **recipe)
    before = db.describe().active.id
    after = db.reembed("mini", size=96)
    found = by_number(db)
    assert found[before].extractor != found[after].extractor
    assert (found[before].is_kept, found[before].is_previous) == (True, True)


def test_a_reader_sees_those_of_its_collection(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str]
) -> None:
    granted.db.pca.activate(granted.db.pca.fit("secret", dim=2), "products")
    granted.db.pca.fit("secret", dim=3)
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as reader:
        found = by_number(reader, "products")
        own = by_number(granted.db, "products")
        assert {n for n, one in own.items() if one.is_kept} == {*found}
        active = next(one for one in found.values() if one.is_active)
        # The name of `secret` is not shown.
        assert (active.fitted_on, len(active.explained)) == ({}, 2)
