"""Thumbnails: a decoded picture -> a small WebP file."""

import io

from PIL import Image

from spocdb.images.colour import finished
from spocdb.images.profiles import Transform

# The longer side, in pixels.
SIDE = 256
# Measured on a thousand photographs: methods above 1 take a millisecond more or worse to save a
# tenth of the bytes; qualities above 75 add bytes that nobody sees at this size.
QUALITY, METHOD = 75, 1
# Reduces by whole factors first where a picture is more than twice too large: as good, and faster.
GAP = 2.0


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """Return the width and height of a picture's thumbnail: its aspect, never enlarged."""
    scale = min(1.0, SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def encoded(picture: Image.Image, transform: Transform | None = None) -> bytes:
    """Return the thumbnail of an upright picture as a WebP file, which has no metadata.

    `transform` converts the resized picture to RGB from another mode or colour space.
    """
    size = thumbnail_size(*picture.size)
    small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=GAP)
    stream = io.BytesIO()
    rgb = finished(small, transform)
    rgb.save(stream, "WEBP", quality=QUALITY, method=METHOD)
    return stream.getvalue()
