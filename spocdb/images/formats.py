"""Which image format some bytes are, and its header, opened safely."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from spocdb.errors import ImageError, ImageTooLarge, UnreadableImage
from spocdb.images.geometry import turned_size

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


@contextmanager
def reading(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image file whose size is allowed.

    Raises UnreadableImage for whatever goes wrong in the block.
    Raises ImageTooLarge before any pixel is decoded.
    """
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


def open_header(data: bytes) -> ImageFile.ImageFile:
    """Open an image file for its size, mode and metadata, whatever its size.

    Reads the header only: no pixel is decoded and no memory for pixels is allocated.

    Raises UnreadableImage for bytes that are no image, or whose header is damaged.
    """
    with reading(data, max_pixels=sys.maxsize) as image:
        return image


def orientation(image: Image.Image) -> int:
    """Return how an opened image must be turned: 1 to 8, as EXIF counts."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    # A broken EXIF block, whatever it raises, is no reason to lose the image.
    except Exception:
        return 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height that an opened image has once it is turned."""
    # Pillow turns a TIFF by itself, and says the size that it will have.
    turn = 1 if isinstance(image, TiffImageFile) else orientation(image)
    return turned_size(image.size, turn)


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


def _reason(error: Exception) -> str:
    text = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "file", " ".join(str(error).split()))
    text = text.replace("not identified by this driver", "no valid header")
    if isinstance(error, OSError | ValueError | SyntaxError) and re.search("[a-z]", text):
        return text
    return f"{type(error).__name__} {text}".strip()
