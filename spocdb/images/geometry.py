"""Turning, cropping and fitting of RGB images."""

import numpy as np
from PIL import Image

from spocdb.errors import EmptyCrop
from spocdb.images.profiles import Transform
from spocdb.recipe_options import Fit
from spocdb.records import PLAIN, Canvas, Crop, UInt8Array

# A network that halves its input five times needs at least 32 pixels.
SMALLEST_SIDE = 32

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# Orientations that swap height and width.
_LYING = (5, 6, 7, 8)


def fitted(
    image: Image.Image,
    size: int,
    fit: Fit,
    canvas: Canvas = PLAIN,
    transform: Transform | None = None,
) -> UInt8Array:
    """Fit an RGB image into a network's input; uint8 (H, W, 3).

    `canvas` holds the interpolation and the padding colour. `transform` converts the resized image
    to RGB from another mode or colour space.
    """
    target = fitted_size(*image.size, size, fit)
    resized = image.resize(target, _RESAMPLING[canvas.interpolation])
    resized = transform(resized) if transform else resized
    return np.asarray(_padded(resized, size, canvas) if fit == "pad" else resized)


def fitted_size(width: int, height: int, size: int, fit: Fit) -> tuple[int, int]:
    """Return an image's width and height after fitting, without padding."""
    if fit == "warp":
        return size, size
    scale, smallest = size / max(width, height), 1 if fit == "pad" else SMALLEST_SIDE
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright, given its EXIF orientation (1 to 8)."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the width and height after `turned`."""
    return (size[1], size[0]) if orientation in _LYING else size


def cropped(image: Image.Image, crop: Crop) -> Image.Image:
    """Cut a rectangle out, clipped to the image.

    Raises:
        EmptyCrop: The rectangle holds no pixel of the image.
    """
    left, top = max(crop.x, 0), max(crop.y, 0)
    right = min(crop.x + crop.width, image.width)
    bottom = min(crop.y + crop.height, image.height)
    if left >= right or top >= bottom:
        raise EmptyCrop(
            f"the crop {crop.x},{crop.y},{crop.width},{crop.height} holds no pixel "
            f"of the {image.width} x {image.height} image"
        )
    # Use NumPy, because Image.crop checks Pillow's process-wide limit.
    return Image.fromarray(np.asarray(image)[top:bottom, left:right])


def _padded(inner: Image.Image, size: int, canvas: Canvas) -> Image.Image:
    square = Image.new("RGB", (size, size), canvas.padding)
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return square
