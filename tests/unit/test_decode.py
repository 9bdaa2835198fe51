import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from spocdb.errors import EmptyCrop, ImageError, ImageTooLarge, UnreadableImage
from spocdb.images.decode import _shrink, decode, upright
from spocdb.images.geometry import fitted
from spocdb.recipe_options import Fit
from spocdb.records import PLAIN, Crop, Decoded, UInt8Array

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def plain(data: bytes, size: int = 32, fit: Fit = "warp", crop: Crop | None = None) -> Decoded:
    return decode(data, size, fit, max_pixels=1_000_000, crop=crop)


def colour(data: bytes) -> tuple[int, ...]:
    """Return the only colour of an image."""
    pixels = plain(data).pixels
    assert (pixels == pixels[0, 0]).all()
    return tuple(pixels[0, 0].tolist())


def corners() -> Image.Image:
    """Return a 6 x 4 image with a red (top left), a green (top right) and a blue corner."""
    image = Image.new("RGB", (6, 4), WHITE)
    image.putpixel((0, 0), RED)
    image.putpixel((5, 0), GREEN)
    image.putpixel((0, 3), BLUE)
    return image


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_is_read(format: str) -> None:
    decoded = plain(encoded(Image.new("RGB", (48, 40), (200, 100, 50)), format))
    assert (decoded.width, decoded.height) == (48, 40)
    assert decoded.pixels.shape == (32, 32, 3)
    assert decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_file_is_a_failure(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), format)
    with pytest.raises(UnreadableImage, match=f"^cannot decode this {format}: "):
        plain(whole[: len(whole) * 2 // 3])


def test_other_formats_and_other_files_are_refused() -> None:
    for data in (encoded(Image.new("RGB", (8, 8)), "PPM"), b"hello", b"\0" * 100):
        with pytest.raises(UnreadableImage, match=r"^not a JPEG, PNG"):
            plain(data)


def test_no_bytes_are_an_empty_file() -> None:
    with pytest.raises(UnreadableImage, match=r"^empty file$"):
        plain(b"")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_turn_is_applied(orientation: int) -> None:
    # Stored as a camera does: turned, so that the EXIF orientation turns it back.
    stored = corners() if orientation == 1 else corners().transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("PNG", "TIFF"):
        turned = plain(encoded(stored, format, exif=exif))
        upright = plain(encoded(corners()))
        assert (turned.width, turned.height) == (6, 4)
        np.testing.assert_array_equal(turned.pixels, upright.pixels)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0"]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_does_not_lose_the_image(exif: bytes) -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "WEBP", lossless=True, exif=exif)
    assert colour(data) == RED


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
@pytest.mark.parametrize(("value", "expected"), [(0, 0), (32768, 128), (257, 1), (65535, 255)])
def test_sixteen_bit_grey_is_scaled(dtype: str, value: int, expected: int) -> None:
    image = Image.fromarray(np.full((4, 4), value, dtype))
    assert colour(encoded(image, "TIFF")) == (expected,) * 3


def test_sixteen_bit_png_is_scaled() -> None:
    assert colour(encoded(Image.fromarray(np.full((4, 4), 32768, np.uint16)))) == (128,) * 3


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.float32, [0, 0.5, 1, 1], [0, 128, 255, 255]),
        (np.float32, [0, 100, 255, 255], [0, 100, 255, 255]),
        (np.float32, [0, 32768, 65535, 65535], [0, 128, 255, 255]),
        (np.float32, [-3, 0, 3, 3], [0, 128, 255, 255]),
        (np.float32, [0.5, np.nan, 1, np.inf], [128, 0, 255, 0]),
        (np.float32, [-7, -7, -7, -7], [0, 0, 0, 0]),
        (np.int32, [0, 100, 200, 200], [0, 100, 200, 200]),
        (np.int32, [0, 1_200_000, 2_000_000, 2_000_000], [0, 153, 255, 255]),
    ],
)
def test_wide_grey_is_scaled_by_the_range_that_it_shows(
    dtype: type[np.generic], values: list[float], expected: list[int]
) -> None:
    image = Image.fromarray(np.array(values, dtype).reshape(2, 2))
    pixels = decode(encoded(image, "TIFF"), 2, "warp", 100).pixels
    assert pixels[..., 0].flatten().tolist() == expected


def test_twelve_bit_grey_is_scaled_by_twelve_bits(shared: Path) -> None:
    # Its brightest pixel is 30 of 4095.
    data = (shared / "data/torture/pillow/12bit.cropped.tif").read_bytes()
    assert decode(data, 100, "warp", 100_000).pixels.max() == 2


def transparent(mode: str) -> tuple[Image.Image, dict[str, Any]]:
    if mode == "P":
        image = Image.new("P", (4, 4), 1)
        image.putpalette([*RED, *GREEN])
        return image, {"transparency": 1}
    blank: dict[str, Any] = {"RGBA": (*GREEN, 0), "LA": (7, 0), "RGB": GREEN, "L": 7}
    options = {"transparency": blank[mode]} if mode in ("RGB", "L") else {}
    return Image.new(mode, (4, 4), blank[mode]), options


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_becomes_white(mode: str) -> None:
    image, options = transparent(mode)
    assert colour(encoded(image, **options)) == WHITE


def test_half_transparency_is_mixed_with_white() -> None:
    assert colour(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 51)))) == (204, 204, 204)


def test_cmyk_without_a_profile_is_converted_plainly() -> None:
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert colour(data) == RED


def test_cmyk_with_a_broken_profile_is_converted_plainly() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert colour(encoded(image, "TIFF", icc_profile=b"no profile")) == RED


def profile_of_grey_inks() -> bytes:
    """Return an ICC profile that maps all inks without black to one grey: L* = 50, a* = b* = 0."""
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += 4 * identity + 2**3 * bytes([128, 128, 128, 0, 128, 128]) + 3 * identity
    tags = struct.pack(">I4sII", 1, b"A2B0", 128 + 16, len(table))
    start = struct.pack(">I4xI4s4s4s", 144 + len(table), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header = start.ljust(36, b"\0") + b"acsp" + bytes(28)
    white = struct.pack(">3i", 63190, 65536, 54061)
    return (header + white).ljust(128, b"\0") + tags + table


def test_cmyk_is_converted_by_its_profile() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = encoded(image, "TIFF", icc_profile=profile_of_grey_inks())
    assert np.abs(np.subtract(colour(data), (119, 119, 119))).max() <= 2


def test_lab_is_converted_as_colours() -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 100, 50)), to_lab)
    assert lab is not None
    assert np.abs(np.subtract(colour(encoded(lab, "TIFF")), (200, 100, 50))).max() <= 3


def test_a_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour(data) == RED


def test_the_limit_is_on_the_pixels_and_says_what_to_do() -> None:
    data = encoded(Image.new("RGB", (30, 20)))
    assert decode(data, 32, "warp", max_pixels=600).width == 30
    message = r"^30 x 20 pixels are over the limit of 599: raise SPOCDB_MAX_PIXELS"
    with pytest.raises(ImageTooLarge, match=message):
        decode(data, 32, "warp", max_pixels=599)


def test_the_limit_comes_before_the_pixels() -> None:
    data = bytearray(encoded(Image.new("RGB", (2, 2)), "BMP"))
    data[18:26] = struct.pack("<ii", 60_000, 50_000)
    with pytest.raises(ImageTooLarge, match="60000 x 50000"):
        plain(bytes(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pillows_own_limit_does_not_count(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (40, 30), RED), format)
    # Pillow warns of sizes between once and twice its limit, and warnings are errors here.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    assert plain(data, crop=Crop(0, 0, 39, 30)).width == 40
    assert Image.MAX_IMAGE_PIXELS == 700


def test_a_large_tiff_passes_pillows_limit_turned_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(corners(), "TIFF", exif=exif)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert (plain(data).width, plain(data).height) == (4, 6)


def test_reasons_are_one_line_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Image.Image) -> None:
        raise OSError("bad\n  file <_io.BytesIO object at 0x7f00ab> of it")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(UnreadableImage, match=r"^cannot decode this PNG: bad file file of it$"):
        plain(encoded(corners()))


def test_reasons_name_the_error_where_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Image.Image) -> None:
        raise KeyError(6)

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(
        UnreadableImage, match=r"^cannot decode this PNG: damaged, or .* \(KeyError 6\)$"
    ):
        plain(encoded(corners()))


def test_a_crop_is_of_the_upright_image_and_clipped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(corners().rotate(90, expand=True), exif=exif)
    decoded = plain(data, crop=Crop(-10, -10, 11, 11))
    assert (decoded.width, decoded.height) == (6, 4)
    assert (decoded.pixels == RED).all()


@pytest.mark.parametrize(
    "crop", [Crop(6, 0, 5, 5), Crop(0, 4, 5, 5), Crop(-5, 0, 5, 5), Crop(1, 1, 0, 2)]
)
def test_a_crop_without_pixels_is_an_error(crop: Crop) -> None:
    with pytest.raises(EmptyCrop, match=r"holds no pixel of the 6 x 4 image"):
        plain(encoded(corners()), crop=crop)


def test_warp_is_pillows_bilinear() -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8))
    expected = np.asarray(image.resize((40, 40), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(plain(encoded(image), 40).pixels, expected)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((200, 100), (50, 100)),
        ((100, 200), (100, 50)),
        ((10, 1), (32, 100)),
        ((50, 50), (100, 100)),
    ],
)
def test_aspect_keeps_the_aspect(size: tuple[int, int], shape: tuple[int, int]) -> None:
    assert plain(encoded(Image.new("RGB", size)), 100, "aspect").pixels.shape == (*shape, 3)


def test_pad_centres_on_the_mean_colour() -> None:
    pixels: UInt8Array = plain(encoded(Image.new("RGB", (80, 40), RED)), 64, "pad").pixels
    assert pixels.shape == (64, 64, 3)
    assert (pixels[16:48] == RED).all()
    assert (pixels[:16] == PLAIN.padding).all()
    assert (pixels[48:] == PLAIN.padding).all()


def test_every_hostile_file_decodes_or_is_an_image_error(shared: Path) -> None:
    files = [path for path in sorted((shared / "data/torture").rglob("*")) if path.is_file()]
    outcomes = [outcome(path.read_bytes()) for path in files]
    assert len(outcomes) > 400
    assert outcomes.count("decoded") > 300
    assert all("\n" not in text and "0x" not in text for text in outcomes)


def outcome(data: bytes) -> str:
    with warnings.catch_warnings():
        # Pillow's warnings of damaged metadata; showing them is a program's choice.
        warnings.simplefilter("ignore", UserWarning)
        try:
            assert decode(data, 32, "warp", 89_478_485).pixels.shape == (32, 32, 3)
        except ImageError as error:
            return str(error)
    return "decoded"


def large_jpeg(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    photograph = Image.fromarray(coarse).resize((2000, 1500), Image.Resampling.BICUBIC)
    return encoded(photograph, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("fit", ["warp", "aspect", "pad"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_becomes_what_all_of_it_would(fit: Fit, orientation: int) -> None:
    data = large_jpeg(orientation)
    decoded = decode(data, 64, fit, 10**7)
    whole = fitted(upright(data, 10**7), 64, fit)
    assert (decoded.width, decoded.height) == ((2000, 1500) if orientation == 1 else (1500, 2000))
    assert np.abs(decoded.pixels.astype(int) - whole).max() <= 6


@pytest.mark.parametrize(
    ("size", "scaled"), [(64, (250, 188)), (300, (1000, 750)), (600, (2000, 1500))]
)
def test_a_jpeg_is_scaled_to_no_less_than_twice_its_size(
    size: int, scaled: tuple[int, int]
) -> None:
    image = JpegImageFile(io.BytesIO(large_jpeg()))
    assert _shrink(image, size, "warp") == (2000, 1500)
    assert image.size == scaled
