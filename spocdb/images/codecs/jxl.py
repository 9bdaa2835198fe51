"""JPEG XL, using pylibjxl if it is installed."""

import re
import struct
from functools import partial

import numpy as np
from PIL import Image, ImageFile

from spocdb.images.boxes import Box, each_inside, inside
from spocdb.images.declarations import Deferred, Format

_BARE = b"\xff\x0a"
_SIGNATURE = re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n")
# By the number of channels.
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def open_jxl(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a JPEG XL. The decoder applies the orientation.

    Raises:
        ValueError: It is an animation, of which the decoder would give the last frame.
    """
    import pylibjxl

    header = pylibjxl.probe(data)
    if header["have_animation"]:
        raise ValueError("an animation: save one of its frames as a file")
    # The decoder converts samples to eight bits, and black (of CMYK) and others are left out.
    mode = _MODES[header["color_channels"] + header["has_alpha"]]
    size = (header["width"], header["height"])
    try:
        info = _exif(data)
    # Damaged metadata never cost a picture.
    except (KeyError, ValueError, RuntimeError):
        info = {}
    return Deferred(size, mode, partial(_decoded, data), info)


def _decoded(data: bytes) -> Image.Image:
    import pylibjxl

    pixels, found = pylibjxl.decode(data, metadata=True)
    image = Image.fromarray(pixels)
    if profile := found.get("icc"):
        image.info["icc_profile"] = profile
    return image


def _exif(data: bytes) -> dict[str, bytes]:
    """Read the EXIF of a file with boxes, which may be compressed; a bare codestream has none."""
    import pylibjxl

    whole = Box(b"", 0, len(data))
    kept = [box for kind in (b"Exif", b"brob") for box in each_inside(data, whole, kind)]
    if not kept or _SIGNATURE.match(data) is None or data.startswith(_BARE):
        return {}
    # The decoder gives metadata together with pixels only: it gets a picture of one.
    begin = data[: inside(data, whole, b"ftyp").end]
    boxes = b"".join(data[box.begin - 8 : box.end] for box in kept)
    pixel = pylibjxl.encode(np.zeros((1, 1, 3), np.uint8))
    stream = struct.pack(">I4s", 8 + len(pixel), b"jxlc") + pixel
    _, found = pylibjxl.decode(begin + boxes + stream, metadata=True)
    exif = found.get("exif")
    return {"exif": exif} if exif else {}


FORMATS = (
    Format(
        "JPEG XL",
        ".jxl",
        lambda data: _SIGNATURE.match(data) is not None,
        open_jxl,
        package="pylibjxl",
        extra="jxl",
        is_apart=True,
        bytes_a_pixel=24.0,
    ),
)
