"""A PCA fitted on a folder of other images, which become a separate collection."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import (
    ConfigError,
)
from spocdb.projections import name_beside
from tests.fixtures.opened import Database


def test_a_pca_from_another_folder(
    db: Database,
    spocdb: Callable[..., Any],
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
) -> None:
    db.ingest(make_photos(6), **recipe, collection="photos")
    ran = spocdb(
        "pca", "fit", "--from", make_photos(12, "others", seed=1), "--dim", 8, "--activate",
        "-c", "photos",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (fitted,) = [p for p in db.pca.list() if p.kind == "pca"]
    ((name,), n_samples) = fitted.fitted_on["collections"], fitted.n_samples
    assert re.fullmatch("others-for-pca-[0-9a-f]{8}", name) and n_samples == 12
    assert fitted.active == ["photos"]
    assert [c.dim for c in db.collections()] == [256, 8]


def test_a_pca_from_a_folder_called_like_the_gallery_leaves_the_gallery_alone(
    db: Database,
    spocdb: Callable[..., Any],
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    tmp_path: Path,
) -> None:
    db.ingest(make_photos(6), **recipe)
    make_photos(12, "elsewhere", seed=1).rename(tmp_path / "elsewhere-photos")
    (tmp_path / "other").mkdir()
    others = (tmp_path / "elsewhere-photos").rename(tmp_path / "other" / "photos")
    ran = spocdb("pca", "fit", "--from", others, "--dim", 8, "--activate")
    assert ran.returncode == 0, ran.stderr
    assert "12 images of photos-for-pca-" in ran.stdout
    assert "photos: projection 2 is active" in ran.stdout
    beside, photos = sorted((c.n_images, c.name) for c in db.collections())[::-1]
    assert (photos, beside[0]) == ((6, "photos"), 12)


def test_folders_that_are_called_alike_are_two_for_a_pca(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    tmp_path: Path,
) -> None:
    db.ingest(make_photos(3, "gallery"), **recipe, collection="photos")
    for n, parent in enumerate(("a", "b"), 1):
        (tmp_path / parent).mkdir()
        make_photos(12, f"{parent}/images", seed=n)
    first, second = (db.ingest_beside(tmp_path / p / "images", "photos") for p in ("a", "b"))
    assert first != second
    sizes = {c.name: c.n_images for c in db.collections()}
    assert (sizes[first], sizes[second]) == (12, 12)
    assert db.pca.show(db.pca.fit(second, dim=8))[0].n_samples == 12
    # The same folder by a link is the same collection, with the folder's current images.
    (tmp_path / "link").symlink_to(tmp_path / "a" / "images")
    for n in range(2):
        (tmp_path / "a" / "images" / f"{n:04d}.jpg").unlink()
    assert db.ingest_beside(tmp_path / "link", "photos") == first
    assert {c.name: c.n_images for c in db.collections()}[first] == 10
    # Another extractor gets a collection of its own.
    db.ingest(make_photos(3, "gallery"), collection="max", pooling="max", **recipe)
    assert db.ingest_beside(tmp_path / "a" / "images", "max") != first


def test_a_folder_that_lost_its_images_does_not_cost_those_that_were_had_of_it(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    db.ingest(make_photos(3, "gallery"), **recipe, collection="photos")
    other = make_photos(4, "other", seed=1)
    name = db.ingest_beside(other, "photos")
    for file in other.iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="there are no images under"):
        db.ingest_beside(other, "photos")
    other.rmdir()
    with pytest.raises(ConfigError, match="no such file or folder"):
        db.ingest_beside(other, "photos")
    assert {c.name: c.n_images for c in db.collections()}[name] == 4


def test_the_name_of_a_folder_beside_fits_whatever_the_folder_is_called() -> None:
    names = {
        name_beside(f"{folder}/{last}", "mini-1")
        for folder in ("/a", "/b")
        for last in ("x" * 200, "é" * 100, "caf\udce9", "写真 🐈" * 9, "")
    }
    assert len(names) == 10
    assert all(0 < len(name.encode()) <= 63 for name in names)
