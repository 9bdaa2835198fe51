"""Detects the image format of bytes and opens their header safely."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile

from spocdb.errors import ImageError, ImageTooLarge, UnreadableImage
from spocdb.images import boxes
from spocdb.images.avif import AvifFile
from spocdb.images.deadline import TimedBytes
from spocdb.images.embedded import bmp_profile, gif_profile
from spocdb.images.geometry import turned_size
from spocdb.images.heif import open_heif
from spocdb.images.jpeg import JpegFile
from spocdb.images.png import PngFile
from spocdb.images.tiff import TiffFile
from spocdb.images.webp import open_webp

Opener = Callable[[bytes, int], ImageFile.ImageFile]

READ = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
# libavif's own pixel limit, which its error does not mention.
LARGEST_AVIF = 2**28
_AVIF_BRANDS = {b"avif", b"avis"}


@contextmanager
def reading(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image file of at most `max_pixels` for the block.

    Raises:
        UnreadableImage: The bytes are no image, or the block raised any other error.
        ImageTooLarge: The image has too many pixels; none is decoded.
    """
    name, opener = _opener(data)
    try:
        image = opener(data, max_pixels)
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
        raise UnreadableImage(f"cannot decode this {name}: {_reason(error)}") from error


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

    For AVIF and HEIC only the boxes count. HEIC gives 1, because its decoder applies them.
    """
    if isinstance(image, AvifFile):
        return image.turn
    if image.format == "HEIF":
        return 1
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
    """Return whether a file's first bytes (32 suffice) are of a format that spocdb reads."""
    return any(signature.match(head) for signature, _, _ in _FORMATS)


def _opener(data: bytes) -> tuple[str, Opener]:
    if not data:
        raise UnreadableImage("empty file")
    for signature, name, opener in _FORMATS:
        if signature.match(data):
            return name or _box_format(boxes.picture(data)), opener
    raise UnreadableImage(f"not a {READ} image")


def _open_boxes(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open an AVIF or HEIC; brands and the main picture's codec tell them apart."""
    found = boxes.picture(data)
    width, height = found.size or (0, 0)
    is_avif = _box_format(found) == "AVIF"
    # Checked before opening, because libavif's error does not mention the size; and before
    # `max_pixels`, because raising that would not help.
    if is_avif and width * height > LARGEST_AVIF:
        raise ImageTooLarge(
            f"{width} x {height} pixels are over the AVIF decoder's own limit of {LARGEST_AVIF}: "
            "save the image smaller",
            bound=LARGEST_AVIF,
        )
    check_size((width, height), max_pixels)
    return AvifFile(data, found) if is_avif else open_heif(data)


def _box_format(found: boxes.Picture) -> str:
    if found.codec == b"av01" or (found.brands & _AVIF_BRANDS and found.codec != b"hvc1"):
        return "AVIF"
    return "HEIC"


def _sizes(image: Image.Image) -> Iterator[tuple[int, int]]:
    """Yield the sizes in pixels that a decoder will allocate: the image, and a TIFF's tile."""
    yield image.size
    if isinstance(image, TiffFile):
        yield image.tile_size


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Check a width and height against the limit of pixels.

    Raises:
        ImageTooLarge: The image has more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} pixels are over the limit of {max_pixels}: "
            "raise SPOCDB_MAX_PIXELS if you trust the file",
            field="max_pixels",
            bound=max_pixels,
        )


def _open_bmp(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    return _with_profile(BmpImageFile(TimedBytes(data)), bmp_profile(data))


def _open_gif(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    return _with_profile(GifImageFile(TimedBytes(data)), gif_profile(data))


def _with_profile(image: ImageFile.ImageFile, profile: bytes | None) -> ImageFile.ImageFile:
    if profile:
        image.info["icc_profile"] = profile
    return image


_FORMATS: tuple[tuple[re.Pattern[bytes], str, Opener], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", lambda data, _: JpegFile(data)),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", lambda data, _: PngFile(data)),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP", lambda data, _: open_webp(data)),
    (re.compile(rb"GIF8[79]a"), "GIF", _open_gif),
    (re.compile(rb"BM"), "BMP", _open_bmp),
    (re.compile(rb"(II|MM)(\0[*+]|[*+]\0)"), "TIFF", lambda data, _: TiffFile(data)),
    (re.compile(rb".{4}ftyp(avi[fs]|mif[12]|msf1|he[iv][cxms])", re.DOTALL), "", _open_boxes),
)


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
