"""Images and embeddings are iterated over, a page at a time."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spocdb import api
from spocdb.api import Engine
from spocdb.db import listing
from spocdb.db.collections import Collection
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]


def test_iterating_gives_id_path_metadata_and_embedding(photos: Database) -> None:
    found = list(photos.images(collection="photos"))
    assert [(image.id, image.path, image.metadata["n"]) for image in found] == [
        (n, f"/photos/{n - 1:06d}.jpg", n) for n in range(1, 11)
    ]
    for image in found:
        assert image.embedding is not None and image.embedding.dtype == np.float32
        assert np.linalg.norm(image.embedding) == pytest.approx(1, abs=1e-3)
    bare = list(photos.images(collection="photos", embeddings=False))
    assert bare == found and all(image.embedding is None for image in bare)


@pytest.mark.parametrize("page", [17, 30, 1000])
def test_embeddings_are_those_that_iterating_gives(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    monkeypatch: pytest.MonkeyPatch,
    page: int,
) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    monkeypatch.setattr(listing, "EMBEDDED_PAGE", page)
    add_images(db.connection, clustered(60))
    for dim in (32, 8):  # raw ones in half precision, projected ones in single
        ids, vectors = db.embeddings()
        assert ids.dtype == np.int64 and vectors.dtype == np.float32
        assert vectors.shape == (60, dim)
        assert ids.tolist() == [*range(1, 61)]
        by_id = {image.id: image.embedding for image in db.images()}
        np.testing.assert_array_equal(vectors, np.array([by_id[id_] for id_ in ids]))
        nearest = np.argsort(-(vectors @ vectors[0]), kind="stable")[1:4]
        assert {hit.id for hit in db.similar(1, 3, exact=True)} == {*ids[nearest].tolist()}
        if dim == 32:
            db.pca.activate(db.pca.fit(dim=8))


def test_embeddings_of_an_attached_table_and_of_an_empty_collection(stocked: Any) -> None:
    ids, vectors = stocked.db.embeddings()
    assert (len(ids), vectors.shape) == (6, (6, 256))
    keys = [(image.path, image.embedding is not None) for image in stocked.db.images()]
    assert keys == [(str(n), True) for n in range(1, 7)]
    stocked.execute("DELETE FROM products")
    stocked.work()
    ids, vectors = stocked.db.embeddings()
    assert (ids.shape, vectors.shape) == ((0,), (0, 256))


def test_an_image_without_an_embedding_is_there_all_the_same(photos: Database) -> None:
    photos.connection.execute("DELETE FROM spocdb.embeddings_1_1 WHERE image_id = 3")
    missing = [i.id for i in photos.images(collection="photos") if i.embedding is None]
    assert missing == [3]
    assert 3 not in photos.embeddings("photos")[0]


def test_a_search_goes_on_while_images_are_iterated_over(
    url: str, environment: dict[str, str], photos: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    settings = from_environment(url, environment)
    # One connection is enough: none is held between two pages.
    with Engine(settings, pool_size=1) as engine:
        db = api.Database(engine)
        for image in db.images(collection="photos"):
            (hit,) = db.similar(image.id, 1, collection="photos")
            assert hit.id != image.id


def test_iterating_takes_the_memory_of_a_page(
    db: Database, add_images: AddImages, clustered: Clustered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 50)

    def peak(n_images: int) -> int:
        tracemalloc.reset_peak()
        assert sum(1 for _ in db.images()) == n_images
        return tracemalloc.get_traced_memory()[1]

    add_images(db.connection, clustered(100, 256))
    tracemalloc.start()
    try:
        sum(1 for _ in db.images())
        small = peak(100)
        add_images(db.connection, clustered(900, 256, seed=1), first=100)
        gone = tracemalloc.get_traced_memory()[0]
        # The embeddings of the rest alone are 900 KB.
        assert peak(1000) - gone < small + 100_000
    finally:
        tracemalloc.stop()
