"""JPEG 2000, JPEG XL, raw photographs, PDFs and videos are read upright and in sRGB."""

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spocdb.errors import ImageTooLarge, UnreadableImage
from spocdb.images import declarations
from spocdb.images.decode import decode, thumbnail, upright
from spocdb.images.exif import exif_metadata
from spocdb.images.formats import FORMATS, is_recognised, open_header
from tests.fixtures.formats import (
    BLACK,
    QUARTERS,
    box,
    corners,
    dng,
    each,
    jxl,
    pdf,
    saved,
    seen,
    turned_jpeg,
    video,
)
from tests.unit.test_profiles import IN_P3, IN_SRGB, P3

EACH = each()
LARGEST = {"a.pdf": (2048, 1366)}


@pytest.mark.parametrize("name", EACH)
def test_each_format_is_read_in_its_colours(name: str) -> None:
    data, size = EACH[name], LARGEST.get(name, (96, 64))
    assert is_recognised(data[:64])
    assert open_header(data).size == size
    assert seen(data) == "rgbw"
    done = decode(data, 32, "warp", 10**8, with_thumbnail=True)
    assert (done.width, done.height) == size and done.pixels.shape == (32, 32, 3)
    with Image.open(io.BytesIO(thumbnail(data, 10**8))) as small:
        assert small.format == "WEBP"


@pytest.mark.parametrize("name", EACH)
def test_too_many_pixels_are_refused_before_any_is_decoded(name: str) -> None:
    with pytest.raises(ImageTooLarge, match="pixels are over the limit of 100: raise SPOCDB_MAX"):
        upright(EACH[name], 100)


@pytest.mark.parametrize(
    "format", [format for format in FORMATS if format.extra], ids=lambda format: format.name
)
def test_what_is_missing_is_told(
    format: declarations.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = next((data for data in EACH.values() if format.claims(data)), None)
    if data is None:
        return  # HEIC, see test_boxes.py
    monkeypatch.setattr(declarations, "is_installed", lambda package: False)
    told = rf"^{format.name}, which needs `pip install 'spocdb\[{format.extra}\]'`$"
    with pytest.raises(UnreadableImage, match=told):
        upright(data, 10**8)


def test_a_jpeg_xl_is_turned_once() -> None:
    import pylibjxl

    data = pylibjxl.jpeg_to_jxl(turned_jpeg(6))
    assert seen(data) == "wrgb"
    assert upright(data, 10**6).size == (64, 96)
    found = {"width": 64, "height": 96, "orientation": 1, "camera": "Acme One"}
    assert exif_metadata(data) == found


@pytest.mark.parametrize("options", [{"lossless": True}, {"distance": 0.5}])
def test_the_profile_of_a_jpeg_xl_is_applied(options: dict[str, float]) -> None:
    data = jxl(Image.new("RGB", (32, 32), IN_P3), icc=P3, **options)
    assert np.abs(np.asarray(upright(data, 10**6)).astype(int) - IN_SRGB).max() <= 6


def test_the_profile_of_a_jp2_is_applied() -> None:
    data = saved(Image.new("RGB", (32, 32), IN_P3), "JPEG2000")
    at = data.index(b"colr") - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    header = data.index(b"jp2h") - 4
    colours = box(b"colr", b"\x02\0\0" + P3)
    inside = data[header + 8 : at] + colours + data[end : data.index(b"jp2c") - 4]
    whole = data[:header] + box(b"jp2h", inside) + data[data.index(b"jp2c") - 4 :]
    assert np.abs(np.asarray(upright(whole, 10**6)).astype(int) - IN_SRGB).max() <= 4


@pytest.mark.parametrize(
    "encoded",
    [
        lambda grey: saved(Image.fromarray(grey), "JPEG2000"),
        lambda grey: imagecodecs.jpegxl_encode(grey, lossless=True),
    ],
    ids=["JPEG 2000", "JPEG XL"],
)
def test_sixteen_bits_are_scaled_to_eight(encoded: Callable[[NDArray[np.uint16]], bytes]) -> None:
    grey = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    pixels = np.asarray(upright(encoded(grey), 10**6)).astype(int)[..., 0]
    assert np.abs(pixels - grey / 257).max() <= 1


def test_transparency_is_flattened() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    for data in (saved(clear, "JPEG2000"), jxl(clear, lossless=True)):
        assert upright(data, 10**6).getpixel((8, 8)) == (255, 255, 255)
        assert upright(data, 10**6, "black").getpixel((8, 8)) == (0, 0, 0)


@pytest.mark.parametrize(("turn", "letters"), [(1, "rgbw"), (3, "bwrg"), (6, "wrgb"), (8, "gbwr")])
def test_raw_photographs_are_upright(turn: int, letters: str) -> None:
    assert seen(dng(turn=turn)) == letters
    assert seen(dng(turn=turn, preview=turned_jpeg(turn))) == letters


def test_a_raw_is_read_by_its_preview_if_that_is_large_enough() -> None:
    large, small = (saved(corners(*size), "JPEG") for size in ((1200, 800), (160, 120)))
    assert upright(dng(2400, 1600, preview=large), 10**7).size == (1200, 800)
    # Developed at half its size.
    assert upright(dng(2400, 1600, preview=small), 10**7).size == (1200, 800)
    assert seen(dng(2400, 1600, preview=small)) == "rgbw"
    # The size of a raw that is developed is limited, also where half of it would not be.
    with pytest.raises(ImageTooLarge, match="2400 x 1600 pixels"):
        upright(dng(2400, 1600), 10**6)


def test_a_tiff_of_a_camera_is_no_raw() -> None:
    exif = Image.Exif()
    exif[0x010F] = "NIKON CORPORATION"
    assert seen(saved(corners(), "TIFF", exif=exif)) == "rgbw"


def test_of_a_pdf_the_first_page_is_read() -> None:
    assert seen(pdf(corners(), Image.new("RGB", (50, 50)))) == "rgbw"
    assert upright(pdf(corners(10, 1000)), 10**8).size == (21, 2048)
    data = pdf().replace(b"/MediaBox [ 0 0 96.0 64.0 ]", b"/MediaBox [ 0 0 0.00 64.0 ]")
    assert data != pdf()
    upright(data, 10**8)  # PDFium takes another size


def test_of_a_video_the_first_key_frame_that_is_not_black_is_read() -> None:
    other = np.full_like(QUARTERS, 100)
    assert seen(video([BLACK] * 6 + [QUARTERS] * 2 + [other] * 4)) == "rgbw"
    assert upright(video([BLACK] * 4), 10**6).getextrema() == ((0, 0),) * 3
    # A dark picture is not black.
    night = BLACK.copy()
    night[20:30, 20:60] = 200
    assert np.asarray(upright(video([night] * 2 + [QUARTERS] * 4), 10**6))[40:].max() < 60


@pytest.mark.parametrize(("turn", "letters"), [(90, "gbwr"), (180, "bwrg"), (-90, "wrgb")])
def test_a_video_is_upright(turn: int, letters: str) -> None:
    data = video([QUARTERS] * 2, turn=turn)
    assert seen(data) == letters
    assert open_header(data).size == upright(data, 10**6).size


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        *(("matroska", "libx264"), ("mpegts", "mpeg2video"), ("mpeg", "mpeg2video")),
        *(("flv", "flv"), ("mov", "libx264"), ("asf", "wmv2"), ("ogg", "libvpx")),
    ],
)
def test_videos_of_other_kinds_are_read(format: str, codec: str) -> None:
    assert seen(video([QUARTERS] * 4, format, codec)) == "rgbw"


def test_of_animations_and_several_pages_the_first_is_read_or_none() -> None:
    second = Image.new("RGB", (96, 64))
    for format in ("GIF", "WEBP", "AVIF", "PNG", "TIFF"):
        data = saved(corners(), format, save_all=True, append_images=[second])
        assert seen(data) == "rgbw", format
    animation = bytes(imagecodecs.jpegxl_encode(np.stack([QUARTERS, BLACK]), lossless=True))
    with pytest.raises(UnreadableImage, match="an animation: save one of its frames as a file"):
        upright(animation, 10**6)
