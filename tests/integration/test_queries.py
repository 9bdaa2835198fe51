"""Queries by path, bytes, PIL image and array give the same hits for the same picture."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pgvector import Vector
from PIL import Image, ImageOps

from spocdb import Crop, EmptyCrop, ImageTooLarge, SpocdbError, UnreadableImage
from spocdb.errors import ConfigError, InvalidValue
from spocdb.pipeline.budget import of_process
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def n_photos() -> int:
    return 8


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    """Return a folder of eight photos that are ingested."""
    return ingested_photos


def lying(file: Path, folder: Path) -> Path:
    """Return a photo that lies on its side, and whose EXIF says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    made = folder / "lying.jpg"
    with Image.open(file) as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(made, quality=95, exif=exif)
    return made


def profiled(file: Path, folder: Path) -> Path:
    """Return a photo with a profile that exchanges red and blue."""
    from PIL import ImageCms

    made = folder / "profiled.png"
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = srgb.index(b"rXYZ"), srgb.index(b"bXYZ")
    srgb[red : red + 4], srgb[blue : blue + 4] = b"bXYZ", b"rXYZ"
    with Image.open(file) as photo:
        photo.save(made, icc_profile=bytes(srgb))
    return made


def transparent(file: Path, folder: Path) -> Path:
    """Return a photo with a transparent corner."""
    made = folder / "transparent.png"
    with Image.open(file) as photo:
        cut = photo.convert("RGBA")
        cut.paste((0, 0, 0, 0), (0, 0, 40, 40))
        cut.save(made)
    return made


def grey(file: Path, folder: Path) -> Path:
    """Return a photo in sixteen bits of grey."""
    made = folder / "grey.png"
    with Image.open(file) as photo:
        levels = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(levels).save(made)
    return made


def as_it_is(file: Path, folder: Path) -> Path:
    return file


@pytest.mark.parametrize("change", [as_it_is, lying, profiled, transparent, grey])
def test_a_pil_image_finds_what_its_file_finds(
    db: Database, photos: Path, tmp_path: Path, change: Callable[[Path, Path], Path]
) -> None:
    file = change(photos / "0003.jpg", tmp_path)
    wanted = db.search(file, 8)
    assert db.search(file.read_bytes(), 8) == wanted
    with Image.open(file) as lazy:
        assert db.search(lazy, 8) == wanted
    with Image.open(io.BytesIO(file.read_bytes())) as loaded:
        loaded.load()
        assert db.search(loaded, 8) == wanted
    crop = Crop(10, 10, 40, 30)
    with Image.open(file) as lazy:
        assert db.search(lazy, 8, crop=crop) == db.search(file, 8, crop=crop)


def test_a_turned_pil_image_is_not_turned_again(db: Database, photos: Path, tmp_path: Path) -> None:
    file = lying(photos / "0003.jpg", tmp_path)
    with Image.open(file) as photo:
        assert db.search(ImageOps.exif_transpose(photo), 8) == db.search(file, 8)


def test_an_embedded_picture_finds_in_sql_what_a_search_finds(db: Database, photos: Path) -> None:
    statement = """
        SELECT id, 1 + (embedding <#> %s) FROM spocdb.photos ORDER BY embedding <#> %s LIMIT 8
    """
    for crop in (None, Crop(10, 10, 40, 30)):
        embedded = db.embed(photos / "0003.jpg", crop=crop)
        assert embedded.shape == (256,) and embedded.dtype == np.float32
        assert np.linalg.norm(embedded) == pytest.approx(1, abs=1e-5)
        rows = db.connection.execute(statement, 2 * [Vector(embedded)]).fetchall()
        hits = db.search(photos / "0003.jpg", 8, crop=crop)
        assert [row[0] for row in rows] == [hit.id for hit in hits]
        # The view shows half precision, as its index holds.
        assert [row[1] for row in rows] == pytest.approx([hit.distance for hit in hits], abs=2e-4)
    with Image.open(photos / "0003.jpg") as photo:
        np.testing.assert_array_equal(db.embed(photo), db.embed(photos / "0003.jpg"))
    with pytest.raises(UnreadableImage, match=r"conftest\.py: "):
        db.embed(Path(__file__).with_name("conftest.py"))


def test_hits_beyond_a_distance_are_left_out(db: Database, photos: Path) -> None:
    every = db.search(photos / "0003.jpg", 8)
    bound = every[3].distance
    assert db.search(photos / "0003.jpg", 8, max_distance=bound) == every[:4]
    assert db.search(photos / "0003.jpg", 2, max_distance=bound) == every[:2]
    assert db.search(photos / "0003.jpg", 8, max_distance=2) == every
    near = db.similar(every[0].id, 8)
    assert db.similar(every[0].id, 8, max_distance=near[2].distance) == near[:3]
    assert db.similar(every[0].id, 8, max_distance=0, filter={}) == []


@pytest.mark.parametrize("bound", [-0.1, 2.1, float("nan"), float("inf")])
def test_a_bound_that_no_distance_can_have_is_refused(db: Database, bound: float) -> None:
    for search in (partial(db.search, b"no image"), partial(db.similar, 1)):
        with pytest.raises(InvalidValue, match=f"^max_distance must be 0 to 2, not {bound}$"):
            search(max_distance=bound)


def test_an_array_finds_what_its_picture_finds(db: Database, photos: Path, tmp_path: Path) -> None:
    with Image.open(photos / "0005.jpg") as photo:
        colours, levels = np.asarray(photo), np.asarray(photo.convert("L"))
    assert db.search(colours, 8) == db.search(photos / "0005.jpg", 8)
    for name, array in (("colours", colours), ("levels", levels)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        wanted = db.search(tmp_path / f"{name}.png", 8)
        # A view, such as a picture turned by NumPy, is an array like any other.
        for same in (array, array.copy(order="F"), array[::-1][::-1]):
            assert db.search(same, 8) == wanted
    assert db.search(colours, 1)[0].path.endswith("0005.jpg")


def test_a_query_in_memory_is_not_changed(db: Database, photos: Path) -> None:
    with Image.open(photos / "0001.jpg") as photo:
        array = np.array(photo)
        before = array.copy()
        db.search(array, 1)
        array.setflags(write=False)
        db.search(array, 1)
        assert (array == before).all()
        held = photo.copy()
        db.search(held, 1)
        assert (held.size, held.mode) == ((96, 72), "RGB") and (np.asarray(held) == before).all()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((8, 8, 3), np.float32), "an array of float32 (8, 8, 3) is no image"),
        (np.zeros((8, 8, 4), np.uint8), "an array of uint8 (8, 8, 4) is no image"),
        (np.zeros((3, 8, 8), np.uint8), "an array of uint8 (3, 8, 8) is no image"),
        (np.zeros((1, 8, 8, 3), np.uint8), "an array of uint8 (1, 8, 8, 3) is no image"),
        (np.zeros(8, np.uint8), "an array of uint8 (8,) is no image"),
        (np.zeros((8, 0, 3), np.uint8), "an image of 0 x 8 pixels is empty"),
        (np.zeros((8, 8), bool), "an array of bool (8, 8) is no image"),
    ],
)
def test_other_arrays_are_refused(db: Database, photos: Path, array: Any, said: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        db.search(array)
    assert str(caught.value).startswith(said) and len(str(caught.value).splitlines()) == 1


def test_what_is_no_image_at_all_is_refused(db: Database, photos: Path) -> None:
    for nothing in (7, None, [1, 2], bytearray(b"x")):
        with pytest.raises(ConfigError, match="is no image: give a path, a file's bytes"):
            db.search(nothing)  # type: ignore[arg-type]
    with Image.open(photos / "0000.jpg") as photo:
        data = (photos / "0000.jpg").read_bytes()[:-400]
        with pytest.raises(EmptyCrop):
            db.search(photo, crop=Crop(900, 900, 5, 5))
    with Image.open(io.BytesIO(data)) as damaged, pytest.raises(UnreadableImage) as caught:
        db.search(damaged)
    assert str(caught.value).startswith("Pillow cannot load this image: ")


def test_what_is_in_memory_has_the_same_limit(
    url: str, environment: dict[str, str], db: Database, photos: Path
) -> None:
    with Image.open(photos / "0000.jpg") as photo:
        small = environment | {"SPOCDB_MAX_PIXELS": "100"}
        with Database(from_environment(url, small)) as strict:
            for query in (photo, np.asarray(photo)):
                with pytest.raises(ImageTooLarge, match="96 x 72 pixels are over the limit of 100"):
                    strict.search(query)
    assert issubclass(ImageTooLarge, SpocdbError)


def test_a_query_waits_for_memory_that_others_hold(db: Database, photos: Path) -> None:
    budget = of_process(db.settings.memory)
    with ThreadPoolExecutor() as threads:
        with budget.lent(budget.total):
            found = threads.submit(db.search, photos / "0000.jpg")
            with pytest.raises(TimeoutError):
                found.result(0.5)
        assert Path(found.result(60)[0].path).name == "0000.jpg"
