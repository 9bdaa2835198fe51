"""Embedded colour profiles: every format becomes sRGB, and sRGB stays unchanged."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from spocdb.images.decode import decode, plain_jpeg, upright
from spocdb.images.profiles import ANY_NUMBER_OF_STEPS, LARGEST_PROFILE, to_srgb

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# X, Y, Z of the primaries of sRGB and Display P3, adapted to the profiles' white (D50).
PRIMARIES = {
    "sRGB": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)),
    "P3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}
# Display P3's (200, 100, 50) in sRGB, computed with the matrices and sRGB's curve.
IN_P3, IN_SRGB = (200, 100, 50), (213, 96, 34)


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(tags: dict[bytes, bytes], space: bytes, device: bytes = b"mntr") -> bytes:
    """Return an ICC profile of version 2."""
    table, contents = b"", b""
    begin = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", begin + len(contents), len(content))
        contents += content
    head = struct.pack(">I4xI4s4s4s", begin + len(contents), 0x02400000, device, space, b"XYZ ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + contents


def curve(gamma: float | None = None) -> bytes:
    """Return a tone curve: a power, or a table of sRGB's curve."""
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    encoded = np.linspace(0, 1, 1024)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *np.rint(linear * 65535).astype(int))


def rgb_profile(primaries: str, **options: Any) -> bytes:
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), PRIMARIES[primaries], strict=True)
    tags = {name: b"XYZ \0\0\0\0" + fixed(*column) for name, column in columns}
    curves = {name: curve() for name in (b"rTRC", b"gTRC", b"bTRC")}
    white = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    return profile(tags | curves | white, b"RGB ", **options)


def grey_profile(gamma: float | None) -> bytes:
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    return profile({b"kTRC": curve(gamma), b"wtpt": white}, b"GRAY")


P3 = rgb_profile("P3")


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    if format == "HEIF":
        import pillow_heif

        pillow_heif.from_pillow(image).save(stream, quality=-1, chroma=444, **options)
    else:
        image.save(stream, format, **options)
    return stream.getvalue()


def colour(data: bytes) -> tuple[int, ...]:
    """Return the colour of the centre; both ways of decoding must give it."""
    pixels = decode(data, 32, "warp", 10**6).pixels
    whole = np.asarray(upright(data, 10**6))
    assert np.abs(pixels[16, 16].astype(int) - whole[20, 20]).max() <= 1
    return tuple(pixels[16, 16].tolist())


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return bool(np.abs(np.subtract(found, wanted)).max() <= 3)


EXACTLY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {},
}


@pytest.mark.parametrize("format", EXACTLY)
def test_a_wide_profile_is_converted_in_every_format(format: str) -> None:
    image = Image.new("RGB", (40, 40), IN_P3)
    assert near(colour(encoded(image, format, **EXACTLY[format])), IN_P3)
    assert near(colour(encoded(image, format, icc_profile=P3, **EXACTLY[format])), IN_SRGB)


def test_a_bmp_of_the_fifth_version_has_a_profile() -> None:
    pixels = bytes(reversed(IN_P3)) * 40 * 40
    header = struct.pack("<IiiHHIIiiII", 124, 40, 40, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    header += struct.pack("<4I4s48xIII4x", 0, 0, 0, 0, b"DEBM", 4, 124 + len(pixels), len(P3))
    whole = b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(P3), 0, 0, 138) + header
    assert len(whole) == 138
    assert near(colour(whole + pixels + P3), IN_SRGB)


def test_a_gif_may_have_a_profile() -> None:
    data = encoded(Image.new("RGB", (40, 40), IN_P3), "GIF", comment=b"before")
    table = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    blocks = [P3[at : at + 255] for at in range(0, len(P3), 255)]
    content = b"".join(bytes([len(block)]) + block for block in blocks)
    extension = b"!\xff\x0bICCRGBG1012" + content + b"\0"
    comment = b"!\xfe\3abc\0"
    assert near(colour(data), IN_P3)
    assert near(colour(data[:table] + comment + extension + data[table:]), IN_SRGB)
    cut = extension[: len(extension) // 2]
    assert near(colour(data[:table] + cut + b"\0" * 256 + data[table:]), IN_P3)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_colours_beside_transparency_are_converted(format: str) -> None:
    image = Image.new("RGBA", (40, 40), (*IN_P3, 128))
    data = encoded(image, format, icc_profile=P3, **EXACTLY[format])
    assert near(colour(data), tuple(round((v + 255) / 2) for v in IN_SRGB))


def test_colours_of_a_palette_are_converted() -> None:
    image = Image.new("RGB", (40, 40), IN_P3).quantize(2)
    assert near(colour(encoded(image, "PNG", icc_profile=P3)), IN_SRGB)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_is_converted(mode: str) -> None:
    # Half of the linear light is 188 in sRGB.
    image = Image.new("L", (40, 40), 128)
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 128 * 257, np.uint16))
    if mode == "LA":
        image = image.convert("LA")
    assert near(colour(encoded(image, "PNG", icc_profile=grey_profile(1.0))), (188,) * 3)


@pytest.mark.parametrize(
    ("mode", "ignored"),
    [
        ("RGB", b""),
        ("RGB", b"no profile"),
        ("RGB", P3[:200]),
        ("RGB", bytes(range(256)) * 4),
        ("RGB", P3[:128] + b"\xff" * (len(P3) - 128)),
        ("RGB", rgb_profile("P3", device=b"link")),
        ("RGB", rgb_profile("P3", device=b"abst")),
        ("RGB", rgb_profile("P3", device=b"nmcl")),
        ("RGB", grey_profile(1.0)),
        ("L", P3),
        ("CMYK", P3),
        ("RGB", P3 + bytes(LARGEST_PROFILE)),
        ("RGB", P3 + ANY_NUMBER_OF_STEPS),
        ("RGB", None),
        ("RGB", "text"),
    ],
)
def test_what_is_no_profile_for_these_pixels_is_ignored(mode: str, ignored: object) -> None:
    assert to_srgb(ignored, mode) is None


@pytest.mark.parametrize("made", [SRGB, rgb_profile("sRGB")], ids=["lcms", "another maker"])
def test_srgb_by_any_maker_needs_no_conversion(made: bytes) -> None:
    assert to_srgb(made, "RGB") is None
    assert to_srgb(made, "RGBA") is None


def test_grey_with_the_curve_of_srgb_needs_no_conversion() -> None:
    assert to_srgb(grey_profile(None), "L") is None
    assert to_srgb(grey_profile(1.0), "L") is not None


def test_cameras_that_share_a_profile_share_its_transform() -> None:
    assert to_srgb(P3, "RGB") is to_srgb(bytes(bytearray(P3)), "RGB")


def test_a_gpu_is_given_no_jpeg_of_other_colours() -> None:
    image = Image.new("RGB", (40, 40), IN_P3)
    assert plain_jpeg(encoded(image, "JPEG", icc_profile=P3), 10**6) is None
    assert plain_jpeg(encoded(image, "JPEG", icc_profile=SRGB), 10**6) is not None
    assert plain_jpeg(encoded(image, "JPEG", icc_profile=b"broken"), 10**6) is not None


def test_a_jpeg_is_converted_after_it_was_scaled() -> None:
    image = Image.new("RGB", (640, 640), IN_P3)
    data = encoded(image, "JPEG", icc_profile=P3, **EXACTLY["JPEG"])
    assert near(tuple(decode(data, 32, "pad", 10**6).pixels[16, 16].tolist()), IN_SRGB)


def test_a_jpeg_of_xyb_is_the_same_picture(shared: Path) -> None:
    folder = shared / "data" / "cases"
    found, twin = (
        decode((folder / name).read_bytes(), 256, "warp", 10**6).pixels.astype(int)
        for name in ("sample-xyb.jpg", "sample.jpg")
    )
    assert np.abs(found - twin).mean() < 4
    assert np.corrcoef(found.ravel(), twin.ravel())[0, 1] > 0.995
