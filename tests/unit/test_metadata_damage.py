"""WebP and TIFF: damaged metadata lose no picture."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from spocdb.errors import UnreadableImage
from spocdb.images.decode import upright
from spocdb.records import UInt8Array

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


def saved(format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, format, **options)
    return stream.getvalue()


def read(data: bytes) -> UInt8Array:
    return np.asarray(upright(data, 10**6))


def webp() -> bytes:
    return saved("WEBP", lossless=True, exif=b"Exif\0\0MM\0*" + bytes(40), xmp=b"x" * 50)


@pytest.mark.parametrize("kind", [b"EXIF", b"XMP "])
@pytest.mark.parametrize("length", [0, 1, 51, 1000, 2**31, 2**32 - 1])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_webp_whose_metadata_has_another_length(kind: bytes, length: int) -> None:
    data = bytearray(webp())
    struct.pack_into("<I", data, data.index(kind) + 4, length)
    np.testing.assert_array_equal(read(bytes(data)), PIXELS)


@pytest.mark.parametrize("cut", [1, 10, 60, 100])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_webp_that_breaks_off_behind_its_pixels(cut: int) -> None:
    np.testing.assert_array_equal(read(webp()[:-cut]), PIXELS)
    np.testing.assert_array_equal(read(webp() + b"more"), PIXELS)


def test_a_webp_that_breaks_off_within_its_pixels() -> None:
    with pytest.raises(UnreadableImage, match=r"^cannot decode this WEBP: "):
        read(saved("WEBP", lossless=True)[:-40])


def test_the_first_frame_of_a_webp_needs_no_other() -> None:
    others = [Image.new("RGB", (8, 8), (n, n, n)) for n in range(20)]
    data = saved("WEBP", lossless=True, save_all=True, append_images=others)
    np.testing.assert_array_equal(read(data), PIXELS)
    assert data.count(b"ANMF") > 5
    np.testing.assert_array_equal(read(data[:-30]), PIXELS)


METADATA = (270, 271, 272, 282, 283, 296, 305, 34665, 34675, 34853)


def tiff() -> bytes:
    exif = Image.Exif()
    exif.update({270: "d" * 50, 271: "Canon", 272: "Canon EOS 5D"})
    exif.get_ifd(IFD.Exif)[33434] = 0.01
    exif.get_ifd(IFD.GPSInfo)[1] = "N"
    options = {"dpi": (72, 72), "software": "s" * 40, "icc_profile": b"abc" * 50}
    return saved("TIFF", exif=exif.tobytes(), **options)


def entry(data: bytes, tag: int) -> int:
    """Return the offset of a tag in the first directory of a little-endian file."""
    (at,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, at)
    (place,) = (
        int(at) + 2 + 12 * i
        for i in range(n)
        if struct.unpack_from("<H", data, at + 2 + 12 * i)[0] == tag
    )
    return place


@pytest.mark.parametrize("tag", METADATA)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_tiff_whose_metadata_leads_out_of_the_file(tag: int) -> None:
    whole = tiff()
    at = entry(whole, tag)
    for place, wrong in (
        *((at + 2, struct.pack("<H", kind)) for kind in (0, 1, 2, 5, 7, 12, 0xFFFF)),
        *((at + 4, struct.pack("<I", count)) for count in (0, 1, 255, 2**31 - 1, 2**32 - 1)),
        *((at + 8, struct.pack("<I", value)) for value in (0, 7, 2**31 - 1, 2**32 - 1)),
    ):
        data = whole[:place] + wrong + whole[place + len(wrong) :]
        np.testing.assert_array_equal(read(data), PIXELS)


def test_a_tiff_whose_pixels_lead_out_of_the_file_is_refused() -> None:
    data = bytearray(tiff())
    struct.pack_into("<I", data, entry(bytes(data), 273) + 8, 2**31 - 1)
    with pytest.raises(UnreadableImage, match=r"^cannot decode this TIFF: "):
        read(bytes(data))
