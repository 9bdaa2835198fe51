"""Bytes -> upright RGB pixels of the size that a network takes, safely."""

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from spocdb.errors import UnreadableImage
from spocdb.images.colour import finished, to_rgb
from spocdb.images.formats import orientation, reading, upright_size
from spocdb.images.geometry import cropped, fitted, fitted_size, turned
from spocdb.images.profiles import Transform, to_srgb
from spocdb.recipe_options import Background, Fit
from spocdb.records import PLAIN, Canvas, Crop, Decoded, Jpeg


def decode(
    data: bytes,
    size: int,
    fit: Fit,
    max_pixels: int,
    canvas: Canvas = PLAIN,
    crop: Crop | None = None,
) -> Decoded:
    """Decode an image file: upright, RGB, cropped, fitted into a network's input.

    docs/reference/images.md has the formats, and says what is done with colours. `fit` "warp"
    gives `size` x `size` pixels whatever the aspect; "pad" keeps the aspect and centres the image
    on a square; "aspect" gives the longer side `size` pixels. `canvas` is the recipe's. The
    record's width and height are of the upright image before the crop.

    Raises UnreadableImage for bytes that are no image, or that take too long.
    Raises ImageTooLarge before any pixel is decoded.
    Raises EmptyCrop.
    """
    if crop:
        whole = upright(data, max_pixels, canvas.background)
        return Decoded(fitted(cropped(whole, crop), size, fit, canvas), whole.width, whole.height)
    with reading(data, max_pixels) as image:
        width_height = _shrink(image, size, fit)
        whole, transform = _upright(image, canvas.background)
        return Decoded(fitted(whole, size, fit, canvas, transform), *(width_height or whole.size))


def plain_jpeg(data: bytes, max_pixels: int) -> Jpeg | None:
    """Return a JPEG that a GPU can be given, or None; `decode` says what is wrong with it.

    One that begins and ends as it should, RGB or grey, in sRGB, not progressive: a GPU would not
    notice where bytes are missing, and knows neither inks nor profiles.

    Raises ImageTooLarge.
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")):
        return None
    try:
        with reading(data, max_pixels) as image:
            assert isinstance(image, JpegImageFile)
            if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
                return None
            # A GPU would leave most of that to one thread of the CPU.
            if image.info.get("progressive"):
                return None
            if to_srgb(image.info.get("icc_profile"), image.mode):
                return None
            return Jpeg(data, orientation(image), *upright_size(image))
    except UnreadableImage:
        return None


def upright(data: bytes, max_pixels: int, background: Background = "white") -> Image.Image:
    """Decode an image file: upright and RGB. Raises UnreadableImage and ImageTooLarge."""
    with reading(data, max_pixels) as image:
        return finished(*_upright(image, background))


def _shrink(image: Image.Image, size: int, fit: Fit) -> tuple[int, int] | None:
    """Let a JPEG be scaled while its cosines are summed; return the upright size that it had.

    That takes less than half the time where a photograph is far larger than what becomes of it. To
    twice the size and no less: the last step is always the same resampling.
    """
    if not isinstance(image, JpegImageFile):
        return None
    whole = upright_size(image)
    width, height = fitted_size(*image.size, size, fit)
    image.draft(None, (2 * width, 2 * height))
    return whole


def _upright(
    image: ImageFile.ImageFile, background: Background
) -> tuple[Image.Image, Transform | None]:
    image.load()
    pixels, transform = to_rgb(image, background)
    return turned(pixels, orientation(image)), transform
