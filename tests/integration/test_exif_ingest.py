"""EXIF as metadata: on request, and overridden by a user's metadata."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from spocdb.images.exif import exif_metadata
from spocdb.records import EXIF_ALWAYS, EXIF_KEYS
from tests.fixtures.opened import Database

Recipe = dict[str, Any]
SIZE = {"width": 96, "height": 72, "orientation": 1}


def photograph(file: Path, seed: int, camera: str, year: int) -> None:
    """Write a photo with a camera and a date."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[Base.Model] = camera
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = f"{year}:05:06 07:08:09"
    Image.fromarray(blobs).resize((96, 72)).save(file, quality=90, exif=exif)


def said(camera: str, year: int) -> dict[str, Any]:
    return SIZE | {"camera": camera, "taken_at": datetime(year, 5, 6, 7, 8, 9).isoformat()}


def stored(db: Database) -> dict[str, dict[str, Any]]:
    rows = db.connection.execute("SELECT path, metadata FROM spocdb.photos")
    return {Path(path).name: metadata for path, metadata in rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two photographs and a picture without EXIF."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photograph(folder / "a.jpg", 1, "First", 2001)
    photograph(folder / "b.jpg", 2, "Second", 2002)
    Image.new("RGB", (96, 72), "red").save(folder / "c.png")
    return folder


def test_the_keys_that_the_database_knows_are_those_that_are_read(folder: Path) -> None:
    from spocdb.images import exif

    assert set(EXIF_KEYS) == {*EXIF_ALWAYS, *exif._READERS}
    assert exif_metadata((folder / "c.png").read_bytes()).keys() == set(EXIF_ALWAYS)


def test_exif_is_stored_on_request_and_filters_find_it(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, exif=True, **recipe)
    assert stored(db) == {
        "a.jpg": said("First", 2001),
        "b.jpg": said("Second", 2002),
        "c.png": SIZE,
    }
    (hit,) = db.search(folder / "c.png", filter={"camera": "Second"})
    assert Path(hit.path).name == "b.jpg"


def test_without_the_request_nothing_is_stored(db: Database, recipe: Recipe, folder: Path) -> None:
    db.ingest(folder, **recipe)
    assert set(map(str, stored(db).values())) == {"{}"}


def test_images_that_are_stored_without_it_are_read_once_again(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    progress = db.ingest(folder, exif=True)
    # The image is read, but the network does not compute it.
    assert (progress.n_new, progress.n_reused, progress.n_unchanged) == (0, 3, 0)
    assert stored(db)["a.jpg"] == said("First", 2001)
    assert db.ingest(folder, exif=True).n_unchanged == 3


def test_what_is_said_of_an_image_wins_and_both_stay(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    about = tmp_path / "about.csv"
    about.write_text("path,camera,title\nphotos/a.jpg,Mine,Ulm\n")
    db.ingest(folder, exif=True, metadata=about, **recipe)
    both = said("First", 2001) | {"camera": "Mine", "title": "Ulm"}
    assert stored(db)["a.jpg"] == both
    # In any order, and also by a run without EXIF.
    assert db.ingest(folder, exif=True).n_unchanged == 3
    about.write_text("path,camera,title\nphotos/a.jpg,Mine,Bonn\nphotos/b.jpg,,Rom\n")
    db.ingest(folder, metadata=about)
    assert stored(db)["a.jpg"] == both | {"title": "Bonn"}
    assert stored(db)["b.jpg"] == said("Second", 2002) | {"title": "Rom"}


def test_metadata_that_were_there_before_win_too(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "about.csv").write_text("path,camera\nphotos/a.jpg,Mine\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    db.ingest(folder, exif=True)
    assert stored(db)["a.jpg"] == said("First", 2001) | {"camera": "Mine"}


@pytest.mark.parametrize("exif", [True, False])
def test_the_exif_of_bytes_that_were_replaced_goes(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path, exif: bool
) -> None:
    (tmp_path / "about.csv").write_text("path,title\nphotos/a.jpg,Ulm\n")
    db.ingest(folder, exif=True, metadata=tmp_path / "about.csv", **recipe)
    photograph(folder / "a.jpg", 5, "Third", 2003)
    assert db.ingest(folder, exif=exif).n_new == 1
    assert stored(db)["a.jpg"] == (said("Third", 2003) if exif else {}) | {"title": "Ulm"}


def test_metadata_of_a_changed_file_without_exif_stay_whatever_their_keys(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "about.csv").write_text("path,width,orientation\nphotos/a.jpg,9,portrait\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    photograph(folder / "a.jpg", 5, "Third", 2003)
    db.ingest(folder)
    assert stored(db)["a.jpg"] == {"width": 9, "orientation": "portrait"}


def test_a_moved_file_keeps_what_is_said_of_it(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    db.ingest(folder, exif=True, **recipe)
    progress = db.ingest(folder.rename(tmp_path / "there"), exif=True)
    assert progress.n_moved == 3
    assert stored(db)["b.jpg"] == said("Second", 2002)
