import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spocdb.drawing.lettering import Lettering
from spocdb.drawing.plots import draw_variance, variance_bars
from spocdb.drawing.sheets import Tile, apart, draw_sheet, fitted
from spocdb.errors import ConfigError
from spocdb.records import Crop, UInt8Array

RED, GREEN, BLUE = (220, 0, 0), (0, 200, 0), (0, 0, 230)
EXPLAINED = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125])


def make(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (80, 60)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def pixels(path: Path) -> UInt8Array:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def box(sheet: UInt8Array, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels of this colour."""
    y, x = np.nonzero((sheet == colour).all(axis=2))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def test_results_stand_in_their_order_right_of_the_query(tmp_path: Path) -> None:
    query = make(tmp_path / "query.png", BLUE)
    tiles = [Tile(str(make(tmp_path / "1.png", RED)), "0.100")] * 5
    tiles.append(Tile(str(make(tmp_path / "6.png", GREEN)), "0.600"))
    draw_sheet(query, tiles, tmp_path / "sheet.png")
    sheet = pixels(tmp_path / "sheet.png")

    blue, red, green = box(sheet, BLUE), box(sheet, RED), box(sheet, GREEN)
    assert blue[2] < red[0]
    assert blue[2] - blue[0] > 2 * (green[2] - green[0])  # the query is large
    assert red[0] == green[0]  # the sixth begins the second row
    assert red[3] < green[1]
    assert (sheet[[0, -1]] == 255).all()


@pytest.mark.parametrize("size", [(80, 60), (60, 80), (50, 50), (3000, 500)])
def test_a_picture_keeps_its_shape_and_fills_its_tile(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    tile = Tile(str(make(tmp_path / "a.png", RED, size)), "0.100")
    draw_sheet(None, [tile], tmp_path / "sheet.png")
    left, top, right, bottom = box(pixels(tmp_path / "sheet.png"), RED)
    assert max(right - left, bottom - top) == 240
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.05)


def test_the_camera_s_turn_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (80, 60), RED)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    draw_sheet(None, [Tile(str(tmp_path / "turned.png"), "")], tmp_path / "sheet.png")
    left, top, right, bottom = box(pixels(tmp_path / "sheet.png"), RED)
    assert (right - left, bottom - top) == (180, 240)


def test_the_crop_stays_bright_and_the_rest_fades(tmp_path: Path) -> None:
    query = make(tmp_path / "query.png", BLUE, (520, 520))
    draw_sheet(query, [], tmp_path / "sheet.png", Crop(100, 50, 200, 300))
    sheet = pixels(tmp_path / "sheet.png")
    left, top, right, bottom = box(sheet, BLUE)
    frame = 3
    assert (right - left, bottom - top) == (200 - 2 * frame, 300 - 2 * frame)
    assert tuple(sheet[top + 10, left - 1]) == (214, 64, 43)
    assert tuple(sheet[top + 10, left - frame - 1]) == (153, 153, 245)


def test_a_crop_may_reach_over_the_edge(tmp_path: Path) -> None:
    query = make(tmp_path / "query.png", BLUE)
    draw_sheet(query, [], tmp_path / "sheet.png", Crop(-10, 30, 1000, 1000))
    left, top, right, bottom = box(pixels(tmp_path / "sheet.png"), BLUE)
    assert (right - left, bottom - top) == (520, 195 - 3)


def test_a_picture_that_cannot_be_read_is_a_grey_tile(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    good = Tile(str(make(tmp_path / "good.png", RED)), "0.300")
    bad = [Tile(str(tmp_path / name), "0.100") for name in ("gone.jpg", "broken.jpg")]
    draw_sheet(tmp_path / "gone.jpg", [*bad, good], tmp_path / "bad.png")
    draw_sheet(tmp_path / "good.png", [good] * 3, tmp_path / "good_sheet.png")
    sheet, reference = pixels(tmp_path / "bad.png"), pixels(tmp_path / "good_sheet.png")
    assert sheet.shape == reference.shape
    left, _, right, _ = box(sheet, RED)
    assert right - left == 240
    grey = (sheet == sheet[60, 60]).all(axis=2)
    assert 0.9 < grey[56 : 56 + 520, 56 : 56 + 520].mean() < 1  # all grey but for the reason


def test_a_long_name_stays_below_its_picture(tmp_path: Path) -> None:
    tiles = [Tile(str(tmp_path / f"{'long-' * 40}{n}.jpg"), "0.1") for n in range(2)]
    draw_sheet(None, tiles, tmp_path / "sheet.png")
    sheet = pixels(tmp_path / "sheet.png")
    assert (sheet[:, 56 + 240 : 56 + 240 + 28] == 255).all()


@pytest.mark.parametrize("name", ["two\nlines.png", "\udcff.png", "画像.png", "a" * 200 + ".png"])
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    draw_sheet(None, [Tile(str(make(tmp_path / name, RED)), "0.1")], tmp_path / "sheet.png")
    sheet = pixels(tmp_path / "sheet.png")
    assert box(sheet, RED)[2] - box(sheet, RED)[0] == 240
    assert (sheet[-56 - 10 :] == 255).all()  # one line of text


@pytest.mark.parametrize("name", ["sheet.xyz", "sheet", "missing/sheet.png"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*sheet") as raised:
        draw_sheet(None, [], tmp_path / name)
    assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match=r"cannot write .*sheet"):
        draw_variance(EXPLAINED, "title", tmp_path / name)


def test_variance_is_drawn(tmp_path: Path) -> None:
    draw_variance(EXPLAINED, "title", tmp_path / "variance.png")
    picture = pixels(tmp_path / "variance.png")
    assert picture.shape == (736, 1760, 3)
    bars = (picture[:, :880] == (214, 64, 43)).all(axis=2)
    heights = bars.sum(axis=0)
    # Five bars, each half as high as the one before.
    steps = [int(h) for h in dict.fromkeys(heights[heights > 0]) if (heights == h).sum() > 50]
    assert steps == pytest.approx([steps[0] / 2**n for n in range(5)], abs=2)


def test_drawing_leaves_no_state_in_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, pathlib; from spocdb.drawing.plots import draw_variance\n"
        f"draw_variance(numpy.ones(2) / 2, 't', pathlib.Path({str(tmp_path / 'v.svg')!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert b"<svg" in (tmp_path / "v.svg").read_bytes()


def test_bars_for_a_terminal() -> None:
    assert variance_bars(EXPLAINED, width=8).splitlines() == [
        "     1  ████       50.0%",
        "     2  ██████     75.0%",
        "     4  ███████▌   93.8%",
        "     5  ███████▊   96.9%",
    ]


def test_bars_of_no_components_are_empty() -> None:
    assert variance_bars(np.array([])) == ""


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["/a/1.jpg", "/a/2.jpg"], ["1.jpg", "2.jpg"]),
        (["/a/1.jpg", "/b/1.jpg", "/b/2.jpg"], ["a/1.jpg", "b/1.jpg", "2.jpg"]),
        (["/a/x/1.jpg", "/b/x/1.jpg", "/a/y/1.jpg"], ["a/x/1.jpg", "b/x/1.jpg", "y/1.jpg"]),
        (["/x/1.jpg", "/a/x/1.jpg"], ["/x/1.jpg", "a/x/1.jpg"]),
        (["/a/1.jpg", "/a/1.jpg"], ["1.jpg", "1.jpg"]),
        (["C:\\a\\1.jpg", "C:\\b\\1.jpg"], ["a/1.jpg", "b/1.jpg"]),
        (["https://a.org/1.jpg", "https://b.org/1.jpg"], ["a.org/1.jpg", "b.org/1.jpg"]),
        (["7", "8"], ["7", "8"]),
        ([], []),
    ],
)
def test_equal_names_are_told_apart_by_as_much_as_it_takes(
    paths: list[str], shown: list[str]
) -> None:
    assert apart(paths) == shown


def test_a_tile_has_its_id(tmp_path: Path) -> None:
    path = str(make(tmp_path / "1.png", RED))
    for name, id_ in (("without", None), ("with", 1234)):
        draw_sheet(None, [Tile(path, "0.1", id_)], tmp_path / f"{name}.png")
    without, with_ = pixels(tmp_path / "without.png"), pixels(tmp_path / "with.png")
    changed = (without != with_).any(axis=2)
    rows, columns = np.nonzero(changed)
    # Between the rank at the left and the distance at the right, in the line below the picture.
    assert rows.min() > 56 + 240 and rows.max() < 56 + 240 + 34
    assert columns.min() > 56 + 10 and columns.max() < 56 + 200


def test_a_sheet_says_once_what_no_font_has(tmp_path: Path, said: list[str]) -> None:
    tiles = [Tile(str(make(tmp_path / f"{n}画像.png", RED)), "0.1") for n in range(3)]
    said.clear()
    draw_sheet(None, tiles, tmp_path / "sheet.png", lettering=Lettering([]))
    (line,) = said
    assert "no font of this machine has CJK" in line and "apt install fonts-noto-cjk" in line


def test_one_component_is_to_be_seen(tmp_path: Path) -> None:
    draw_variance(np.array([0.5]), "title", tmp_path / "variance.png")
    right = pixels(tmp_path / "variance.png")[:, 880:]
    assert (right == (214, 64, 43)).all(axis=2).sum() > 30


def test_names_that_are_too_wide_differ_where_their_folders_or_files_differ() -> None:
    letters = Lettering([])
    long = [f"/x/{'A' * 30}{n}/{'B' * 30}.jpg" for n in (1, 2)]
    series = [f"{'A' * 30}/{'B' * 30}{n}.jpg" for n in (1, 2)]
    for paths in (long, series):
        shown = [fitted(name, 240, 15, letters) for name in apart(paths)]
        assert shown[0] != shown[1]
        assert all(letters.width(name, 15) <= 240 for name in shown)
    # The name gets the room that a short folder does not need.
    name = fitted(f"a/{'B' * 60}.jpg", 240, 15, letters)
    assert name.startswith("a/BBB") and name.endswith(".jpg")
    assert letters.width(name, 15) > 200


@pytest.mark.parametrize(
    "path", ["", "a.jpg", "a/b.jpg", "new\nline", "x" * 99, "d/" * 200, "/" * 99]
)
def test_any_path_is_fitted_into_a_tile(path: str) -> None:
    letters = Lettering([])
    shown = fitted(path, 240, 15, letters)
    assert letters.width(shown, 15) <= 240 and "\n" not in shown
    assert len(path) > 20 or shown == " ".join(path.split())
