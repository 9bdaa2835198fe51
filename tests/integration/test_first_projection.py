"""A collection's first PCA is fitted by the ingest that reaches enough images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spocdb import projections as fitting
from spocdb.db.collections import Collection
from spocdb.records import Float32Array
from tests.fixtures.ingested import rows
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

Make = Callable[..., Path]


Options = dict[str, Any]


def test_enough_images_get_a_first_pca(
    db: Database, random_recipe: Options, make_photos: Make, said: list[str]
) -> None:
    options = random_recipe | {"size": 32}
    db.ingest(make_photos(256), auto_pca=256, **options)
    assert db.collections()[0].dim == 512  # 256 dimensions need 257 images
    db.ingest(make_photos(1, "more", seed=1), auto_pca=256)
    assert db.collections()[0].dim == 256
    assert "fitted projection 2 on 257 images" in said
    assert len(rows(db)["0000.jpg"][2]) == 256


def test_without_auto_pca_there_is_none(
    db: Database, random_recipe: Options, make_photos: Make
) -> None:
    db.ingest(make_photos(257), auto_pca=0, **random_recipe | {"size": 32})
    assert db.collections()[0].projection == 1


def test_short_descriptors_get_no_pca_by_themselves(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    db.ingest(make_photos(257), auto_pca=257, **recipe | {"size": 32})
    assert db.collections()[0].projection == 1


def test_the_first_projection_comes_by_itself(
    db: Database, add_images: AddImages, clustered: Clustered, tmp_path: Path, said: list[str]
) -> None:

    def ingest_nothing(**options: Any) -> str:
        db.ingest(tmp_path, **options)
        (active,) = [p.kind for p in db.pca.list() if p.active]
        return active

    rows = clustered(300, 512)
    add_images(db.connection, rows[:200])
    assert ingest_nothing(auto_pca=100) == "raw", "200 are too few for 256 dimensions"
    assert [h.method for h in db.similar(1, 3)] == ["hnsw"] * 3
    add_images(db.connection, rows[200:], first=200)
    assert ingest_nothing(auto_pca=0) == "raw"
    assert ingest_nothing() == "raw", "by default it takes a thousand"
    assert ingest_nothing(auto_pca=300) == "pca"
    assert "fitted projection 2 on 300 images" in said
    assert [p.dim for p in db.pca.list()] == [512, 256]
    add_images(db.connection, clustered(300, 512, seed=1), first=300)
    ingest_nothing(auto_pca=300)
    assert len(db.pca.list()) == 2, "only the first one comes by itself"
    assert len(db.similar(550, 3)) == 3


def test_a_gallery_answers_from_the_first_image(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(2)
    add_images(db.connection, rows[:1])
    assert db.similar(1) == []
    add_images(db.connection, rows[1:], first=1)
    (hit,) = db.similar(1)
    assert hit.path == "/photos/000001.jpg"
    assert hit.distance == pytest.approx(1 - float(rows[0] @ rows[1]), abs=1e-3)


def test_an_ingest_leaves_what_was_activated_meanwhile(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    before = add_images(db.connection, clustered(300))
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    fitting.settle(db.connection, db.engine.connect, before, auto_pca=10)
    assert [p.id for p in db.pca.list() if p.active] == [number]


def test_an_ingest_whose_first_pca_fails_still_gets_its_index(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    monkeypatch.setattr("spocdb.projections.DEFAULT_DIM", 8)
    rows = np.zeros((40, 32), np.float32)
    rows[np.arange(40), np.arange(40) % 2] = 1
    rows[:, 2] = np.linspace(0, 0.5, 40)
    target = add_images(db.connection, rows)
    said.clear()
    fitting.settle(db.connection, db.engine.connect, target, auto_pca=10)
    assert said[0].startswith("no first PCA yet: ")
    assert said[1] == "building the index"
