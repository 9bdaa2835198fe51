"""AVIF and HEIC: only their boxes decide how they are cropped and turned."""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ImageTooLarge, UnreadableImage
from spocdb.images import declarations
from spocdb.images.boxes import exif, picture, without_metadata
from spocdb.images.decode import decode, upright
from spocdb.images.exif import exif_metadata
from spocdb.images.formats import is_recognised, open_header

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# The corners after an EXIF orientation is applied, by orientation: top left, top right, bottom
# right, bottom left.
CORNERS = {1: "rgbw", 3: "bwrg", 6: "wrgb", 8: "gbwr"}


def corners() -> Image.Image:
    """Return 64 x 48 pixels: red, green, blue and white quarters, clockwise from the top left."""
    image = Image.new("RGB", (64, 48), RED)
    image.paste(GREEN, (32, 0, 64, 24))
    image.paste(BLUE, (32, 24, 64, 48))
    image.paste(WHITE, (0, 24, 32, 48))
    return image


def seen(data: bytes) -> str:
    """Return the first letters of the colours of the four corners, clockwise."""
    image = upright(data, 10**6)
    right, below = image.width - 4, image.height - 4
    names = {RED: "r", GREEN: "g", BLUE: "b", WHITE: "w"}
    pixels = np.asarray(image).astype(int)
    found = [pixels[y, x] for x, y in ((3, 3), (right, 3), (right, below), (3, below))]
    return "".join(
        min(names.items(), key=lambda n: np.abs(np.subtract(n[0], colour)).sum())[1]
        for colour in found
    )


def exif_of(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0112] = "Apple", "iPhone 15", orientation
    return tags.tobytes()


def avif(**options: Any) -> bytes:
    stream = io.BytesIO()
    corners().save(stream, "AVIF", quality=90, subsampling="4:4:4", **options)
    return stream.getvalue()


def heic(**options: Any) -> bytes:
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(corners()).save(stream, quality=90, chroma=444, **options)
    return stream.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes_of(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def with_property(data: bytes, added: bytes) -> bytes:
    """Return the file with one more property of its main item."""
    parts = dict(boxes_of(data))
    meta = dict(boxes_of(parts[b"meta"], 4))
    properties = dict(boxes_of(meta[b"iprp"]))
    n = sum(1 for _ in boxes_of(properties[b"ipco"])) + 1
    associations = bytearray(properties[b"ipma"])
    assert (associations[0], associations[3] & 1) == (0, 0)
    # Version, flags, number of items; the first item's number, and how many properties it has.
    associations[10] += 1
    # The highest bit marks the property as essential: no decoder may ignore it.
    associations.insert(11 + associations[10] - 1, n | 128)
    iprp = box(b"ipco", properties[b"ipco"] + added) + box(b"ipma", bytes(associations))
    longer = len(iprp) - len(meta[b"iprp"])
    meta[b"iprp"] = iprp
    # The offset of the pixels, which moves by the same number of bytes: one extent, four bytes.
    location = bytearray(meta[b"iloc"])
    for i in range(location[6] * 256 + location[7]):
        at = 8 + i * 14 + 6
        place = int.from_bytes(location[at : at + 4], "big") + longer
        location[at : at + 4] = place.to_bytes(4, "big")
    meta[b"iloc"] = bytes(location)
    inner = b"".join(box(kind, content) for kind, content in meta.items())
    parts[b"meta"] = parts[b"meta"][:4] + inner
    return b"".join(box(kind, content) for kind, content in parts.items())


def aperture(*numbers: int) -> bytes:
    return box(b"clap", struct.pack(">IIIIiIiI", *numbers))


@pytest.mark.parametrize("orientation", CORNERS)
def test_an_avif_is_turned_by_its_boxes(orientation: int) -> None:
    # Pillow writes the orientation as irot and imir, and removes it from EXIF.
    assert seen(avif(exif=exif_of(orientation))) == CORNERS[orientation]


@pytest.mark.parametrize("orientation", CORNERS)
def test_a_heic_is_turned_by_its_boxes(orientation: int) -> None:
    assert seen(heic(exif=exif_of(orientation))) == CORNERS[orientation]


@pytest.mark.parametrize("make", [avif, heic])
def test_exif_and_xmp_turn_nothing(make: Any) -> None:
    # Inserted into the finished file, because Pillow would write both as boxes.
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1"/></x:xmpmeta>'
    tags = Image.Exif()
    tags[0x0113] = 6
    data = make(exif=tags.tobytes(), xmp=xmp)
    for before, after in ((b'tion="1"', b'tion="6"'), (b"\1\x13\0\3", b"\1\x12\0\3")):
        assert data.count(before) == 1
        data = data.replace(before, after)
    assert seen(data) == "rgbw"
    assert exif_metadata(data)["orientation"] == 1


@pytest.mark.parametrize("make", [avif, heic])
def test_exif_is_read_all_the_same(make: Any) -> None:
    found = exif_metadata(make(exif=exif_of(6)))
    assert (found["width"], found["height"], found["camera"]) == (48, 64, "Apple iPhone 15")


@pytest.mark.parametrize("make", [avif, heic])
def test_damaged_exif_costs_no_picture(make: Any) -> None:
    data = make(exif=exif_of(1))
    for wrong in (b"\xff\xff\xff\xff", b"\x7f\0\0\0"):
        at = data.index(b"Exif\0\0") - 4 if b"Exif\0\0II" in data or b"Exif\0\0MM" in data else 0
        at = at or data.index(b"MM\0*" if b"MM\0*" in data else b"II*\0") - 4
        damaged = data[:at] + wrong + data[at + 4 :]
        assert seen(damaged) == "rgbw"
        assert "camera" not in exif_metadata(damaged)


def test_an_avif_is_cropped_by_its_clean_aperture() -> None:
    # The right half: 32 pixels wide, 48 high; its centre is 16 to the right of the picture's.
    data = with_property(avif(), aperture(32, 1, 48, 1, 16, 1, 0, 1))
    assert picture(data).crop == (32, 0, 64, 48)
    assert (upright(data, 10**6).size, seen(data)) == ((32, 48), "ggbb")
    assert decode(data, 32, "warp", 10**6).width == 32
    assert exif_metadata(data)["width"] == 32
    assert open_header(data).size == (32, 48)


@pytest.mark.parametrize(
    "numbers",
    [
        (65, 1, 48, 1, 0, 1, 0, 1),
        (32, 0, 48, 1, 0, 1, 0, 1),
        (32, 1, 48, 1, 17, 1, 0, 1),
        (33, 1, 48, 1, 0, 1, 0, 1),
        (0, 1, 48, 1, 0, 1, 0, 1),
    ],
    ids=["wider", "over zero", "beyond the edge", "half pixels", "empty"],
)
def test_an_impossible_aperture_is_ignored(numbers: tuple[int, ...]) -> None:
    data = with_property(avif(), aperture(*numbers))
    assert (upright(data, 10**6).size, seen(data)) == ((64, 48), "rgbw")


def larger(data: bytes, width: int, height: int) -> bytes:
    """Return the file with a larger size in its header."""
    size = data.index(b"ispe") + 8
    return data[:size] + struct.pack(">II", width, height) + data[size + 8 :]


@pytest.mark.parametrize("make", [avif, heic])
def test_a_picture_too_large_is_said_to_be_so(make: Any) -> None:
    data = larger(make(), 16000, 16000)
    with pytest.raises(ImageTooLarge, match="16000 x 16000 pixels are over the limit of 89478485"):
        decode(data, 32, "warp", 89_478_485)


@pytest.mark.parametrize("max_pixels", [10**6, 10**9])
def test_the_decoders_own_limit_is_named_whatever_the_settings_limit(max_pixels: int) -> None:
    with pytest.raises(ImageTooLarge, match="over the AVIF decoder's own limit of 268435456"):
        decode(larger(avif(), 17000, 17000), 32, "warp", max_pixels)


@pytest.mark.parametrize("make", [avif, heic])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_boxes_never_raise_anything_else(make: Any) -> None:
    whole = make(exif=exif_of(6))
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole[: rng.integers(8, len(whole))])
        for at in rng.integers(0, min(len(damaged), 700), 4):
            damaged[at] = rng.integers(0, 256)
        data = bytes(damaged)
        picture(data)
        exif(data)
        assert len(without_metadata(data)) == len(data)
        exif_metadata(data)
        with suppress(UnreadableImage, ImageTooLarge):
            decode(data, 32, "warp", 10**6)


@pytest.mark.parametrize("make", [avif, heic])
@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_a_general_brand_is_told_apart_by_the_codec(make: Any, brand: bytes) -> None:
    data = make()
    renamed = data[:8] + brand + data[12:]
    assert is_recognised(renamed[:32])
    assert picture(renamed).codec in (b"av01", b"hvc1")
    assert seen(renamed) == "rgbw"


def test_without_the_package_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = heic()
    monkeypatch.setattr(declarations, "is_installed", lambda package: False)
    with pytest.raises(UnreadableImage, match=r"HEIC.*pip install 'spocdb\[heif\]'"):
        decode(data, 32, "warp", 10**6)
    assert exif_metadata(data) == {}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("blue-and-magenta-crop.avif", (180, 100)),
        ("xmp_tags_orientation.avif", (326, 268)),
        ("avif-exif-header-broken.avif", (512, 512)),
    ],
)
def test_files_from_bug_reports_are_read(shared: Path, name: str, size: tuple[int, int]) -> None:
    decoded = decode((shared / "data/cases" / name).read_bytes(), 32, "warp", 10**6)
    assert (decoded.width, decoded.height) == size


def test_the_large_file_from_a_bug_report(shared: Path) -> None:
    data = (shared / "data/cases/17000x17000.avif").read_bytes()
    with pytest.raises(ImageTooLarge, match="17000 x 17000"):
        decode(data, 32, "warp", 89_478_485)


@pytest.mark.parametrize("mirror", [None, 0, 1])
@pytest.mark.parametrize("angle", range(4))
def test_rotation_and_then_mirroring(angle: int, mirror: int | None) -> None:
    data = with_property(avif(), box(b"irot", bytes([angle])))
    if mirror is not None:
        data = with_property(data, box(b"imir", bytes([mirror])))
    # Turned anticlockwise by quarters; then flipped top to bottom, or left to right.
    wanted = "rgbw"[angle:] + "rgbw"[:angle]
    if mirror is not None:
        wanted = "".join(wanted[i] for i in ((3, 2, 1, 0), (1, 0, 3, 2))[mirror])
    assert seen(data) == wanted
