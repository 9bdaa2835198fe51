"""EXIF as metadata, with the keys of docs/reference/images.md."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from math import isfinite
from typing import Any, TypeVar

from PIL.ExifTags import GPS, IFD, Base

from spocdb.errors import ImageError
from spocdb.images.formats import open_header, orientation, upright_size

Tags = Mapping[int, Any]
Number = TypeVar("Number", int, float)

# Longer names of cameras and lenses are damaged or hostile, and are cut.
LONGEST_TEXT = 200


def exif_metadata(data: bytes) -> dict[str, Any]:
    """Read an image file's EXIF into a dictionary of JSON values.

    Keys: width, height (upright, in pixels), orientation (EXIF's, 1 to 8), taken_at (ISO 8601),
    camera, lens, iso, f_number, exposure (seconds), focal_length (mm), latitude, longitude
    (degrees, north and east positive), altitude (metres above the sea).

    Missing, damaged and impossible values are left out. Never raises: bytes that are no image give
    an empty dictionary.
    """
    try:
        image = open_header(data)
    except ImageError:
        return {}
    width, height = upright_size(image)
    found: dict[str, Any] = {"width": width, "height": height, "orientation": orientation(image)}
    try:
        exif = image.getexif()
        base = dict(exif)
    # Pillow can raise any exception on damaged EXIF.
    except Exception:
        return found
    photo, gps = _directory(exif, IFD.Exif), _directory(exif, IFD.GPSInfo)
    for key, read in _READERS.items():
        try:
            value = read(base, photo, gps)
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            continue
        if value is not None:
            found[key] = value
    return found


def _directory(exif: Any, tag: int) -> Tags:
    try:
        return dict(exif.get_ifd(tag))
    except Exception:
        return {}


def _taken_at(base: Tags, photo: Tags, gps: Tags) -> str | None:
    candidates = (
        (photo.get(Base.DateTimeOriginal), photo.get(Base.OffsetTimeOriginal)),
        (photo.get(Base.DateTimeDigitized), photo.get(Base.OffsetTimeDigitized)),
        (base.get(Base.DateTime), photo.get(Base.OffsetTime)),
    )
    return next((time for time in map(_time, *zip(*candidates, strict=True)) if time), None)


def _time(value: Any, offset: Any) -> str | None:
    # A camera whose clock was never set writes blanks or zeros.
    try:
        time = datetime.strptime(_text(value) or "", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    zone = _text(offset) or ""
    return time.isoformat() + (zone if re.fullmatch(r"[+-]\d\d:\d\d", zone) else "")


def _camera(base: Tags, photo: Tags, gps: Tags) -> str | None:
    return _named(_text(base.get(Base.Make)), _text(base.get(Base.Model)))


def _lens(base: Tags, photo: Tags, gps: Tags) -> str | None:
    return _named(_text(photo.get(Base.LensMake)), _text(photo.get(Base.LensModel)))


def _named(maker: str | None, model: str | None) -> str | None:
    """Join maker and model; the model often begins with the maker's name already."""
    if not maker or not model:
        return model or maker
    begins = model.lower().startswith(maker.split()[0].lower())
    return model if begins else f"{maker} {model}"


def _iso(base: Tags, photo: Tags, gps: Tags) -> int | None:
    value = photo[Base.ISOSpeedRatings]
    return _positive(int(value[0] if isinstance(value, tuple) else value))


def _photo_number(tag: int) -> Callable[[Tags, Tags, Tags], float | None]:
    def read(base: Tags, photo: Tags, gps: Tags) -> float | None:
        return _positive(_rounded(photo[tag], 6))

    return read


def _positive(value: Number) -> Number | None:
    return value if value > 0 else None


def _latitude(base: Tags, photo: Tags, gps: Tags) -> float | None:
    return _degrees(gps[GPS.GPSLatitude], gps[GPS.GPSLatitudeRef], "NS", 90)


def _longitude(base: Tags, photo: Tags, gps: Tags) -> float | None:
    return _degrees(gps[GPS.GPSLongitude], gps[GPS.GPSLongitudeRef], "EW", 180)


def _degrees(value: Any, reference: Any, letters: str, most: int) -> float | None:
    degrees, minutes, seconds = (float(part) for part in value)
    letter = (_text(reference) or "?")[0].upper()
    sign = (1, -1)[letters.index(letter)]
    place = _rounded(sign * (degrees + minutes / 60 + seconds / 3600), 7)
    return place if abs(place) <= most else None


def _altitude(base: Tags, photo: Tags, gps: Tags) -> float | None:
    below = gps.get(GPS.GPSAltitudeRef, b"\0") in (b"\1", 1)
    return _rounded(gps[GPS.GPSAltitude], 2) * (-1 if below else 1)


def _rounded(value: Any, digits: int) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError("a rational number without a denominator")
    return round(number, digits)


def _text(value: Any) -> str | None:
    """Clean a text: decode it, remove control characters, join its lines, cut it to a limit."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    value = value.split("\0")[0]
    # Pillow reads EXIF's ASCII texts as Latin-1, but cameras and programs write UTF-8.
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    printable = "".join(c if c.isprintable() else " " for c in value)
    return " ".join(printable.split())[:LONGEST_TEXT] or None


_READERS: dict[str, Callable[[Tags, Tags, Tags], Any]] = {
    "taken_at": _taken_at,
    "camera": _camera,
    "lens": _lens,
    "iso": _iso,
    "f_number": _photo_number(Base.FNumber),
    "exposure": _photo_number(Base.ExposureTime),
    "focal_length": _photo_number(Base.FocalLength),
    "latitude": _latitude,
    "longitude": _longitude,
    "altitude": _altitude,
}
