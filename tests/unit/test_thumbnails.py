"""Thumbnails of pictures of every kind, made beside a network's input or alone."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ImageTooLarge, UnreadableImage
from spocdb.images.decode import decode, thumbnail, upright
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, SmallPicture
from spocdb.settings import DEFAULT_MAX_PIXELS
from tests.unit.test_profiles import P3, grey_profile


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def photo(width: int, height: int) -> Image.Image:
    """Return a smooth picture whose corners differ."""
    blobs = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(400, 300), "JPEG", exif=exif)


def transparent() -> bytes:
    picture = photo(400, 300)
    picture.putalpha(Image.linear_gradient("L").resize((400, 300)))
    return encoded(picture)


# Of 256 levels: what compressing takes away, most of it of a palette's dither.
CLOSE = 6
WIDE = np.linspace(0, 65535, 300 * 300).astype(np.uint16).reshape(300, 300)
# A file of each kind, and the size of its thumbnail.
FILES: dict[str, tuple[bytes, tuple[int, int]]] = {
    "jpeg": (encoded(photo(640, 480), "JPEG"), (256, 192)),
    "large jpeg": (encoded(photo(3000, 2000), "JPEG"), (256, 171)),
    "progressive jpeg": (encoded(photo(640, 480), "JPEG", progressive=True), (256, 192)),
    "turned jpeg": (turned(), (192, 256)),
    "cmyk jpeg": (encoded(photo(640, 480).convert("CMYK"), "JPEG"), (256, 192)),
    "grey jpeg": (encoded(photo(640, 480).convert("L"), "JPEG"), (256, 192)),
    "jpeg of a wide profile": (encoded(photo(640, 480), "JPEG", icc_profile=P3), (256, 192)),
    "grey jpeg of a profile": (
        encoded(photo(640, 480).convert("L"), "JPEG", icc_profile=grey_profile(1.0)),
        (256, 192),
    ),
    "transparent png": (transparent(), (256, 192)),
    "palette png": (encoded(photo(300, 400).convert("P")), (192, 256)),
    "16-bit png": (encoded(Image.fromarray(WIDE)), (256, 256)),
    "webp": (encoded(photo(640, 480), "WEBP"), (256, 192)),
    "small png": (encoded(photo(100, 50)), (100, 50)),
    "one pixel": (encoded(Image.new("RGB", (1, 1), (200, 100, 50))), (1, 1)),
    "panorama": (encoded(photo(10_000, 20)), (256, 1)),
    "tower": (encoded(photo(20, 10_000)), (1, 256)),
}


def opened(made: SmallPicture | bytes | None) -> Image.Image:
    assert made is not None
    webp = made.webp if isinstance(made, SmallPicture) else made
    with Image.open(io.BytesIO(webp)) as image:
        assert (image.format, image.mode) == ("WEBP", "RGB")
        assert not {"icc_profile", "exif", "xmp"} & image.info.keys()
        return image.convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other)).mean())


@pytest.mark.parametrize("name", FILES)
def test_a_thumbnail_is_the_picture_upright_and_small(name: str) -> None:
    data, size = FILES[name]
    small = opened(thumbnail(data, DEFAULT_MAX_PIXELS))
    assert small.size == size
    whole = upright(data, DEFAULT_MAX_PIXELS).resize(size, Image.Resampling.BICUBIC)
    assert difference(small, whole) < CLOSE


@pytest.mark.parametrize("fit", ["warp", "pad", "aspect"])
@pytest.mark.parametrize("name", FILES)
def test_the_network_sees_the_same_with_a_thumbnail(name: str, fit: Fit) -> None:
    data, size = FILES[name]
    plain = decode(data, 256, fit, DEFAULT_MAX_PIXELS)
    both = decode(data, 256, fit, DEFAULT_MAX_PIXELS, with_thumbnail=True)
    assert plain.small is None
    np.testing.assert_array_equal(both.pixels, plain.pixels)
    assert (both.width, both.height) == (plain.width, plain.height)
    made = opened(both.small)
    assert made.size == size
    alone = opened(thumbnail(data, DEFAULT_MAX_PIXELS))
    assert difference(made, alone) < CLOSE


def test_transparent_pixels_have_the_colour_that_the_network_sees() -> None:
    data = encoded(Image.new("RGBA", (40, 30), (255, 0, 0, 0)))
    for background, value in (("white", 255), ("black", 0)):
        canvas = Canvas(background=background)  # type: ignore[arg-type]
        made = decode(data, 32, "warp", 10**6, canvas, with_thumbnail=True).small
        assert np.unique(np.asarray(opened(made))).tolist() == [value]
    assert np.unique(np.asarray(opened(thumbnail(data, 10**6)))).tolist() == [255]


def test_a_jpeg_that_a_small_network_sees_smaller_gets_none() -> None:
    data, size = FILES["jpeg"]
    assert decode(data, 32, "warp", 10**7, with_thumbnail=True).small is None
    assert opened(decode(data, 128, "warp", 10**7, with_thumbnail=True).small).size == size
    small = encoded(photo(100, 50), "JPEG")
    assert opened(decode(small, 64, "warp", 10**7, with_thumbnail=True).small).size == (100, 50)


def test_what_cannot_be_decoded_has_no_thumbnail() -> None:
    data, _ = FILES["jpeg"]
    with pytest.raises(UnreadableImage):
        thumbnail(data[: len(data) // 2], 10**6)
    with pytest.raises(ImageTooLarge):
        thumbnail(data, 640 * 480 - 1)
