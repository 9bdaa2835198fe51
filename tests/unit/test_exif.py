"""EXIF as metadata: documented keys, clean values, and nothing from broken EXIF."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from spocdb.images.exif import LONGEST_TEXT, exif_metadata


def photograph(
    base: dict[int, Any],
    photo: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
    format: str = "JPEG",
) -> bytes:
    """Return an image of 40 x 30 pixels with the given EXIF tags."""
    exif = Image.Exif()
    exif.update(base)
    exif.get_ifd(IFD.Exif).update(photo or {})
    exif.get_ifd(IFD.GPSInfo).update(gps or {})
    stream = io.BytesIO()
    Image.new("RGB", (40, 30)).save(stream, format, exif=exif.tobytes())
    return stream.getvalue()


CAMERA: dict[int, Any] = {
    Base.Make: "NIKON CORPORATION",
    Base.Model: "NIKON D90",
    Base.Orientation: 6,
}
PHOTO: dict[int, Any] = {
    Base.DateTimeOriginal: "2023:07:14 08:05:09",
    Base.OffsetTimeOriginal: "+02:00",
    Base.LensMake: "Sigma",
    Base.LensModel: "18-50mm F2.8",
    Base.ISOSpeedRatings: 400,
    Base.FNumber: IFDRational(28, 10),
    Base.ExposureTime: IFDRational(1, 250),
    Base.FocalLength: IFDRational(35),
}
PLACE: dict[int, Any] = {
    GPS.GPSLatitudeRef: "S",
    GPS.GPSLatitude: (IFDRational(33), IFDRational(51), IFDRational(3132, 100)),
    GPS.GPSLongitudeRef: "E",
    GPS.GPSLongitude: (IFDRational(151), IFDRational(12), IFDRational(54)),
    GPS.GPSAltitudeRef: b"\1",
    GPS.GPSAltitude: IFDRational(125, 10),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_key_is_read(format: str) -> None:
    found = exif_metadata(photograph(CAMERA, PHOTO, PLACE, format))
    assert found == {
        "width": 30,
        "height": 40,
        "orientation": 6,
        "taken_at": "2023-07-14T08:05:09+02:00",
        "camera": "NIKON D90",
        "lens": "Sigma 18-50mm F2.8",
        "iso": 400,
        "f_number": 2.8,
        "exposure": 0.004,
        "focal_length": 35.0,
        "latitude": -33.8587,
        "longitude": 151.215,
        "altitude": -12.5,
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_image_without_exif_has_its_size() -> None:
    assert exif_metadata(photograph({})) == {"width": 40, "height": 30, "orientation": 1}


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xd9", photograph(CAMERA)[:30]])
def test_what_is_no_image_has_nothing(data: bytes) -> None:
    assert exif_metadata(data) == {}


@pytest.mark.parametrize(
    ("photo", "base"),
    [
        ({Base.DateTimeOriginal: "0000:00:00 00:00:00"}, {}),
        ({Base.DateTimeOriginal: "    :  :     :  :  "}, {}),
        ({Base.DateTimeOriginal: "yesterday"}, {Base.Make: "\0\0", Base.Model: "  "}),
        ({Base.ISOSpeedRatings: 0, Base.FNumber: IFDRational(1, 0)}, {}),
        ({Base.ExposureTime: IFDRational(0, 0), Base.FocalLength: IFDRational(0)}, {}),
        ({Base.LensModel: "\x01\x02"}, {}),
    ],
)
def test_a_senseless_value_has_no_key(photo: dict[int, Any], base: dict[int, Any]) -> None:
    assert exif_metadata(photograph(base, photo)).keys() == {"width", "height", "orientation"}


@pytest.mark.parametrize(
    "wrong",
    [
        {GPS.GPSLatitudeRef: "Q"},
        {GPS.GPSLatitude: (IFDRational(91), IFDRational(0), IFDRational(0))},
        {GPS.GPSLatitude: (IFDRational(1, 0), IFDRational(0), IFDRational(0))},
        {GPS.GPSLatitude: (IFDRational(1), IFDRational(0))},
    ],
)
def test_an_impossible_place_costs_only_itself(wrong: dict[int, Any]) -> None:
    found = exif_metadata(photograph({}, {}, PLACE | wrong))
    assert "latitude" not in found
    assert found["longitude"] == 151.215


def test_texts_are_clean() -> None:
    maker = "Łódź 写真".encode()
    found = exif_metadata(photograph({Base.Make: maker, Base.Model: "a\nb\x1b[31m" + "x" * 999}))
    assert found["camera"].startswith("Łódź 写真 a b [31mx")
    assert len(found["camera"]) <= 2 * LONGEST_TEXT + 1
    assert found["camera"].isprintable()


def test_a_date_is_taken_where_there_is_one() -> None:
    assert exif_metadata(photograph({Base.DateTime: "2020:01:02 03:04:05"}))["taken_at"] == (
        "2020-01-02T03:04:05"
    )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Metadata Warning")
def test_damaged_exif_never_raises() -> None:
    whole = photograph(CAMERA, PHOTO, PLACE)
    begin, end = whole.index(b"Exif\0\0"), whole.index(b"\xff\xdb")
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(begin + 6, end, 8):
            damaged[at] = rng.integers(0, 256)
        json.dumps(exif_metadata(bytes(damaged)), allow_nan=False).encode()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_hostile_files_never_raise(shared: Path) -> None:
    files = [path for path in sorted((shared / "data/torture").rglob("*")) if path.is_file()]
    found = [exif_metadata(path.read_bytes()) for path in files]
    assert sum("camera" in values for values in found) > 10
    json.dumps(found, allow_nan=False).encode()
