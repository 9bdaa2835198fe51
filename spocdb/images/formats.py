"""Detects the image format of bytes and opens their header safely.

To add a format, write a file in `codecs/`; those that Pillow reads well are declared here.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile

from spocdb.errors import ImageError, ImageTooLarge, UnreadableImage
from spocdb.images import boxes, codecs, sandbox
from spocdb.images.avif import AvifFile
from spocdb.images.deadline import TimedBytes
from spocdb.images.declarations import Format, check_size
from spocdb.images.embedded import bmp_profile, gif_profile
from spocdb.images.geometry import turned_size
from spocdb.images.jpeg import JpegFile
from spocdb.images.png import PngFile
from spocdb.images.tiff import TiffFile
from spocdb.images.webp import open_webp

# libavif's own pixel limit, which its error does not mention.
LARGEST_AVIF = 2**28


@contextmanager
def reading(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image file of at most `max_pixels` for the block.

    Raises:
        UnreadableImage: The bytes are no image, or the block raised any other error.
        ImageTooLarge: The image has too many pixels; none is decoded.
    """
    format = _format_of(data)
    try:
        open_file = partial(sandbox.opened, format) if format.is_apart else format.open
        image = open_file(data, max_pixels)
        for size in _sizes(image):
            check_size(size, max_pixels)
        yield image
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Some loaders (GIF, WebP) check Pillow's process-wide limit before the size is known here.
        raise ImageTooLarge(f"over Pillow's own limit: {error}") from error
    # Decoders can raise any exception on hostile bytes.
    except Exception as error:
        raise UnreadableImage(f"cannot decode this {format.name}: {_reason(error)}") from error


def open_header(data: bytes) -> ImageFile.ImageFile:
    """Open an image file of any size for its size, mode and metadata.

    Reads the header only: no pixel is decoded and no memory for pixels is allocated.

    Raises:
        UnreadableImage: The bytes are no image, or their header is damaged.
        ImageTooLarge: The image exceeds a decoder's own limit.
    """
    with reading(data, max_pixels=sys.maxsize) as image:
        return image


def orientation(image: Image.Image) -> int:
    """Return an opened image's EXIF orientation, 1 to 8.

    Some formats say it by other means than EXIF, or have decoders that apply it: the image then has
    an attribute `turn`.
    """
    turn = getattr(image, "turn", None)
    if isinstance(turn, int):
        return turn
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    # Pillow can raise any exception on broken EXIF; the image is still usable.
    except Exception:
        return 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height of an opened image in its upright orientation."""
    # Pillow turns a TIFF by itself and already reports the upright size.
    turn = 1 if isinstance(image, TiffFile) else orientation(image)
    return turned_size(image.size, turn)


def is_recognised(head: bytes) -> bool:
    """Return whether a file's first bytes (64 suffice) are of a format that spocdb reads."""
    return any(format.claims(head) for format in FORMATS)


def _format_of(data: bytes) -> Format:
    """Return the format of an image file.

    Raises:
        UnreadableImage: It is of none, or of one that needs a package which is missing.
    """
    if not data:
        raise UnreadableImage("empty file")
    format = next((format for format in FORMATS if format.claims(data)), None)
    if format is None:
        raise UnreadableImage(f"not a {READ} file")
    if not format.is_read():
        raise UnreadableImage(f"{format.name}, which needs `{format.install}`")
    return format


def _open_avif(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    found = boxes.picture(data)
    width, height = found.size or (0, 0)
    # Checked before opening, because libavif's error does not mention the size; and before
    # `max_pixels`, because raising that would not help.
    if width * height > LARGEST_AVIF:
        raise ImageTooLarge(
            f"{width} x {height} pixels are over the AVIF decoder's own limit of {LARGEST_AVIF}: "
            "save the image smaller",
            bound=LARGEST_AVIF,
        )
    check_size((width, height), max_pixels)
    return AvifFile(data, found)


def _sizes(image: Image.Image) -> Iterator[tuple[int, int]]:
    """Yield the sizes in pixels that a decoder will allocate: the image, and a TIFF's tile."""
    yield image.size
    if isinstance(image, TiffFile):
        yield image.tile_size


def _open_bmp(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    return _with_profile(BmpImageFile(TimedBytes(data)), bmp_profile(data))


def _open_gif(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    return _with_profile(GifImageFile(TimedBytes(data)), gif_profile(data))


def _with_profile(image: ImageFile.ImageFile, profile: bytes | None) -> ImageFile.ImageFile:
    if profile:
        image.info["icc_profile"] = profile
    return image


def _begins(signature: bytes) -> Callable[[bytes], bool]:
    """Return the function that tells whether data begin with a regular expression."""
    pattern = re.compile(signature, re.DOTALL)
    return lambda data: pattern.match(data) is not None


_PILLOWS = (
    Format(
        "JPEG",
        ".jpg .jpeg .jpe .jfif",
        _begins(rb"\xff\xd8\xff"),
        lambda data, _: JpegFile(data),
    ),
    Format("PNG", ".png", _begins(rb"\x89PNG\r\n\x1a\n"), lambda data, _: PngFile(data)),
    Format(
        "WEBP",
        ".webp",
        _begins(rb"RIFF.{4}WEBP"),
        lambda data, _: open_webp(data),
        bytes_a_pixel=9.0,
    ),
    Format("GIF", ".gif", _begins(rb"GIF8[79]a"), _open_gif),
    Format("BMP", ".bmp", _begins(rb"BM"), _open_bmp),
    Format(
        "TIFF",
        ".tif .tiff",
        _begins(rb"(II|MM)(\0[*+]|[*+]\0)"),
        lambda data, _: TiffFile(data),
    ),
    Format(
        "AVIF",
        ".avif",
        lambda data: boxes.is_picture(data) and boxes.is_avif(boxes.picture(data)),
        _open_avif,
        bytes_a_pixel=4.5,
    ),
)
# The first that claims a file has it: a raw photograph begins as a TIFF does.
FORMATS: tuple[Format, ...] = (*codecs.declared(), *_PILLOWS)
_NAMES = [format.name for format in (*_PILLOWS, *codecs.declared())]
READ = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"


def _reason(error: Exception) -> str:
    """Describe a decoder's error in one line that a user can understand."""
    text = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "file", " ".join(str(error).split()))
    text = text.replace("not identified by this driver", "no valid header")
    if re.fullmatch(r"decoder error -?\d+", text):
        return f"its pixels are damaged, or compressed in a way that is not supported ({text})"
    if isinstance(error, OSError | ValueError | SyntaxError) and re.search("[a-z]", text):
        return text
    detail = f"{type(error).__name__} {text}".strip()
    return f"damaged, or of a kind that is not supported ({detail})"
