"""Safe decoding: bytes -> upright RGB pixels of a network's input size."""

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from spocdb.errors import UnreadableImage
from spocdb.images.colour import finished, to_rgb
from spocdb.images.formats import orientation, reading, upright_size
from spocdb.images.geometry import cropped, fitted, fitted_size, turned
from spocdb.images.profiles import Transform, to_srgb
from spocdb.images.signatures import signature
from spocdb.images.thumbnails import SIDE, encoded, reduced
from spocdb.recipe_options import Background, Fit
from spocdb.records import PLAIN, Canvas, Crop, Decoded, Jpeg, SmallPicture


def decode(
    data: bytes,
    size: int,
    fit: Fit,
    max_pixels: int,
    canvas: Canvas = PLAIN,
    crop: Crop | None = None,
    *,
    with_thumbnail: bool = False,
) -> Decoded:
    """Decode an image file: upright, RGB, cropped, fitted into a network's input.

    docs/reference/images.md lists the formats and the treatment of colours. `fit` "warp" gives
    `size` x `size` pixels and ignores the aspect; "pad" keeps the aspect and centres the image on a
    square; "aspect" gives the longer side `size` pixels. `canvas` is the recipe's. The record's
    width and height are those of the upright image before the crop.

    `with_thumbnail` makes one of the whole picture, and its signature; the network's input is the
    same. There is none if a JPEG was scaled below its size during decoding, for a small network.

    Raises:
        UnreadableImage: The bytes are no image, or decoding takes too long.
        ImageTooLarge: The image has too many pixels; none is decoded.
        EmptyCrop: The crop holds no pixel of the image.
    """
    if crop:
        assert not with_thumbnail
        whole = upright(data, max_pixels, canvas.background)
        return Decoded(fitted(cropped(whole, crop), size, fit, canvas), whole.width, whole.height)
    with reading(data, max_pixels) as image:
        width_height = _shrink(image, size, fit)
        whole, transform = _upright(image, canvas.background)
        width, height = width_height or whole.size
        pixels = fitted(whole, size, fit, canvas, transform)
        is_enough = max(whole.size) >= min(SIDE, max(width, height))
        small = _small(whole, transform) if with_thumbnail and is_enough else None
        return Decoded(pixels, width, height, small)


def thumbnail(data: bytes, max_pixels: int, side: int = SIDE) -> bytes:
    """Make a thumbnail of an image file, as a WebP file whose longer side is at most `side`.

    Raises:
        UnreadableImage: The bytes are no image, or decoding takes too long.
        ImageTooLarge: The image has too many pixels; none is decoded.
    """
    with reading(data, max_pixels) as image:
        _shrink(image, side, "aspect")
        return encoded(reduced(*_upright(image, "white"), side))


def plain_jpeg(data: bytes, max_pixels: int) -> Jpeg | None:
    """Return a JPEG that a GPU can decode, or None; `decode` reports what is wrong with it.

    It must have a start and an end marker, be RGB or grey in sRGB, and not be progressive. A GPU
    does not notice missing bytes, and supports neither CMYK nor profiles.

    Raises:
        ImageTooLarge: The image has too many pixels.
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")):
        return None
    try:
        with reading(data, max_pixels) as image:
            assert isinstance(image, JpegImageFile)
            if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
                return None
            # nvJPEG decodes most of a progressive JPEG in one CPU thread.
            if image.info.get("progressive"):
                return None
            if to_srgb(image.info.get("icc_profile"), image.mode):
                return None
            return Jpeg(data, orientation(image), *upright_size(image))
    except UnreadableImage:
        return None


def upright(data: bytes, max_pixels: int, background: Background = "white") -> Image.Image:
    """Decode an image file: upright and RGB.

    Raises:
        UnreadableImage: The bytes are no image, or decoding takes too long.
        ImageTooLarge: The image has too many pixels; none is decoded.
    """
    with reading(data, max_pixels) as image:
        return finished(*_upright(image, background))


def _shrink(image: Image.Image, size: int, fit: Fit) -> tuple[int, int] | None:
    """Scale a JPEG during decoding (DCT scaling); return its full upright size, None for others.

    Halves the time or better for photographs that are much larger than the input. Keeps at least
    twice the target size, so that the final resampling is the same for all images.
    """
    if not isinstance(image, JpegImageFile):
        return None
    whole = upright_size(image)
    width, height = fitted_size(*image.size, size, fit)
    image.draft(None, (2 * width, 2 * height))
    return whole


def _small(whole: Image.Image, transform: Transform | None) -> SmallPicture:
    small = reduced(whole, transform)
    return SmallPicture(encoded(small), signature(small))


def _upright(
    image: ImageFile.ImageFile, background: Background
) -> tuple[Image.Image, Transform | None]:
    image.load()
    pixels, transform = to_rgb(image, background)
    return turned(pixels, orientation(image)), transform
