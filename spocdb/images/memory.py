"""Images in memory: PIL images and arrays -> a network's input."""

import numpy as np
from PIL import Image

from spocdb.errors import ConfigError, ImageError, UnreadableImage
from spocdb.images.colour import finished, to_rgb
from spocdb.images.declarations import check_size
from spocdb.images.formats import orientation
from spocdb.images.geometry import cropped, fitted, turned
from spocdb.images.profiles import Transform
from spocdb.images.wide import to_grey
from spocdb.recipe_options import Background, Fit
from spocdb.records import PLAIN, Canvas, Crop, Decoded, UInt8Array

InMemory = Image.Image | UInt8Array

# Pillow's modes of grey with more than eight bits, and the value of white, None if unknown.
WIDE = {"I;16": 65535.0, "I;16L": 65535.0, "I;16B": 65535.0, "I;16N": 65535.0, "I": None, "F": None}


def fit_held(
    image: InMemory,
    size: int,
    fit: Fit,
    max_pixels: int,
    canvas: Canvas = PLAIN,
    crop: Crop | None = None,
) -> Decoded:
    """Fit an image in memory into a network's input, as `decode` does with a file.

    The EXIF orientation and the profile of a PIL image are applied. An array, uint8 (H, W, 3) RGB
    or (H, W) grey, is taken as upright sRGB.

    Raises:
        UnreadableImage: The array has another type or shape, or Pillow cannot load the pixels.
        ImageTooLarge: The image has too many pixels.
        EmptyCrop: The crop holds no pixel of the image.
        ConfigError: `image` is neither a PIL image nor an array.
    """
    if isinstance(image, Image.Image):
        whole, transform = _upright(image, max_pixels, canvas.background)
    elif isinstance(image, np.ndarray):
        whole, transform = _from_array(image, max_pixels), None
    else:
        kind = type(image).__name__
        raise ConfigError(
            f"{kind} is no image: give a path, a file's bytes, a PIL image, or an array"
        )
    if crop:
        part = cropped(finished(whole, transform), crop)
        return Decoded(fitted(part, size, fit, canvas), whole.width, whole.height)
    return Decoded(fitted(whole, size, fit, canvas, transform), whole.width, whole.height)


def _upright(
    image: Image.Image, max_pixels: int, background: Background
) -> tuple[Image.Image, Transform | None]:
    _refuse_empty(*image.size)
    check_size(image.size, max_pixels)
    try:
        turn = orientation(image)
        image.load()
        narrow = to_grey(np.asarray(image), WIDE[image.mode]) if image.mode in WIDE else image
        pixels, transform = to_rgb(narrow, background)
        return turned(pixels, turn), transform
    except (ImageError, MemoryError):
        raise
    # The image may not be decoded yet, and Pillow can raise any exception on damaged files.
    except Exception as error:
        raise UnreadableImage(f"Pillow cannot load this image: {error}") from error


def _from_array(array: UInt8Array, max_pixels: int) -> Image.Image:
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not is_picture:
        raise UnreadableImage(
            f"an array of {array.dtype} {array.shape} is no image: "
            "give uint8, (H, W, 3) for RGB or (H, W) for grey"
        )
    height, width = array.shape[:2]
    _refuse_empty(width, height)
    check_size((width, height), max_pixels)
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _refuse_empty(width: int, height: int) -> None:
    if not (width and height):
        raise UnreadableImage(f"an image of {width} x {height} pixels is empty")
