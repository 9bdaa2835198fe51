"""Bytes -> upright RGB pixels of the size that a network takes, safely."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from spocdb.errors import EmptyCrop, ImageError, ImageTooLarge, UnreadableImage
from spocdb.images.colour import to_rgb
from spocdb.records import Crop, Decoded, Fit, Jpeg, UInt8Array

# ImageNet's mean colour: padding of it is zero once the pixels are normalised.
MEAN_COLOUR = (124, 116, 104)
# A network that halves its input five times needs 32 pixels to say anything.
SMALLEST_SIDE = 32

# Pillow's classes, not Image.open: that one checks a limit that belongs to the whole process and
# warns beside it, and opens an MPO as more than its first frame, which is a plain JPEG.
_FORMATS: tuple[tuple[re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"(II|MM)(\0[*+]|[*+]\0)"), TiffImageFile),
    (re.compile(rb".{4}ftyp(avif|avis|mif1|msf1)", re.DOTALL), AvifImageFile),
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Orientations whose height and width change places.
_LYING = (5, 6, 7, 8)


def decode(data: bytes, size: int, fit: Fit, max_pixels: int, crop: Crop | None = None) -> Decoded:
    """Decode an image file: upright, RGB, cropped, fitted into a network's input.

    JPEG, PNG, WebP, GIF (the first frame), BMP, TIFF and AVIF. `fit` "warp" gives `size` x `size`
    pixels whatever the aspect; "pad" keeps the aspect and centres the image on a square; "aspect"
    gives the longer side `size` pixels. The record's width and height are of the upright image
    before the crop.

    Raises UnreadableImage, ImageTooLarge (before any pixel is decoded) or EmptyCrop.
    """
    if crop:
        whole = upright(data, max_pixels)
        return Decoded(fitted(_crop(whole, crop), size, fit), whole.width, whole.height)
    with _reading(data, max_pixels) as image:
        width_height = _shrink(image, size, fit)
        whole = _upright(image)
        return Decoded(fitted(whole, size, fit), *(width_height or whole.size))


def plain_jpeg(data: bytes, max_pixels: int) -> Jpeg | None:
    """Return a JPEG that a GPU can be given, or None; `decode` says what is wrong with it.

    One that begins and ends as it should, RGB or grey, not progressive: a GPU would not notice
    where bytes are missing, nor does it know inks. Raises ImageTooLarge.
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")):
        return None
    try:
        with _reading(data, max_pixels) as image:
            assert isinstance(image, JpegImageFile)
            if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
                return None
            # A GPU would leave most of that to one thread of the CPU.
            if image.info.get("progressive"):
                return None
            return Jpeg(data, _orientation(image), *_upright_size(image))
    except UnreadableImage:
        return None


def fitted(image: Image.Image, size: int, fit: Fit) -> UInt8Array:
    """Fit an RGB image into a network's input; uint8 (H, W, 3)."""
    resized = _resized(image, size, fit)
    return np.asarray(_padded(resized, size) if fit == "pad" else resized)


def upright(data: bytes, max_pixels: int) -> Image.Image:
    """Decode an image file: upright and RGB. Raises UnreadableImage and ImageTooLarge."""
    with _reading(data, max_pixels) as image:
        return _upright(image)


def fitted_size(width: int, height: int, size: int, fit: Fit) -> tuple[int, int]:
    """Return the width and height that an image gets, without padding."""
    if fit == "warp":
        return size, size
    scale, smallest = size / max(width, height), 1 if fit == "pad" else SMALLEST_SIDE
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


@contextmanager
def _reading(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image file whose size is allowed; what goes wrong in the block is its fault."""
    opener = _opener(data)
    try:
        image = opener(io.BytesIO(data))
        _check_size(image, max_pixels)
        yield image
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # A few loaders (GIF, WebP) ask Pillow's process-wide limit before the size is known here.
        raise ImageTooLarge(f"over Pillow's own limit: {error}") from error
    # Hostile bytes make decoders raise anything at all.
    except Exception as error:
        raise UnreadableImage(f"cannot decode this {opener.format}: {_reason(error)}") from error


def _shrink(image: Image.Image, size: int, fit: Fit) -> tuple[int, int] | None:
    """Let a JPEG be scaled while its cosines are summed; return the upright size that it had.

    That takes less than half the time where a photograph is far larger than what becomes of it. To
    twice the size and no less: the last step is always the same resampling.
    """
    if not isinstance(image, JpegImageFile):
        return None
    upright_size = _upright_size(image)
    width, height = fitted_size(*image.size, size, fit)
    image.draft(None, (2 * width, 2 * height))
    return upright_size


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    _allocate(image)
    image.load()
    return _turn(to_rgb(image), _orientation(image))


def _upright_size(image: JpegImageFile) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in _LYING else (width, height)


def _opener(data: bytes) -> type[ImageFile.ImageFile]:
    if not data:
        raise UnreadableImage("empty file")
    for signature, opener in _FORMATS:
        if signature.match(data):
            return opener
    raise UnreadableImage("not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image")


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} pixels are over the limit of {max_pixels}: "
            "raise SPOCDB_MAX_PIXELS if you trust the file"
        )


def _allocate(image: Image.Image) -> None:
    # Where there is no memory yet, TIFF's loader asks Pillow's process-wide limit again.
    if isinstance(image, TiffImageFile):
        image.im = Image.new(image.mode, image._tile_size).im


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    # A broken EXIF block, whatever it raises, is no reason to lose the image.
    except Exception:
        return 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _reason(error: Exception) -> str:
    text = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "file", " ".join(str(error).split()))
    text = text.replace("not identified by this driver", "no valid header")
    if isinstance(error, OSError | ValueError | SyntaxError) and re.search("[a-z]", text):
        return text
    return f"{type(error).__name__} {text}".strip()


def _crop(image: Image.Image, crop: Crop) -> Image.Image:
    left, top = max(crop.x, 0), max(crop.y, 0)
    right = min(crop.x + crop.width, image.width)
    bottom = min(crop.y + crop.height, image.height)
    if left >= right or top >= bottom:
        raise EmptyCrop(
            f"the crop {crop.x},{crop.y},{crop.width},{crop.height} holds no pixel "
            f"of the {image.width} x {image.height} image"
        )
    # Through NumPy, because Image.crop checks Pillow's process-wide limit.
    return Image.fromarray(np.asarray(image)[top:bottom, left:right])


def _resized(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    target = fitted_size(*image.size, size, fit)
    return image.resize(target, Image.Resampling.BILINEAR)


def _padded(inner: Image.Image, size: int) -> Image.Image:
    square = Image.new("RGB", (size, size), MEAN_COLOUR)
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return square
