"""Raw photographs of cameras, using rawpy (LibRaw) if it is installed.

The camera's own preview is read, which is in most files a JPEG of the whole picture; a raw without
one, or with only a small one, is developed, at half its size if that is large enough.
"""

import io
import re
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from PIL import Image, ImageFile

from spocdb.images.declarations import Deferred, Format, check_size
from spocdb.images.jpeg import JpegFile

# A preview is enough if its longer side has as many pixels, or as many as half the raw.
ENOUGH = 1024

# Canon's CR2, CR3 and CRW, Olympus, Panasonic, Fujifilm, Minolta, Sigma; others are TIFFs.
_SIGNATURE = re.compile(
    rb"(II|MM).{6}CR\x02|.{4}ftypcrx |II.{4}HEAPCCDR|IIR[OS]|MMOR|IIU\0|FUJIFILMCCD-RAW|"
    rb"\0MRM|FOVb",
    re.DOTALL,
)
_TIFF = re.compile(rb"II\*\0|MM\0\*")
PHOTOMETRIC, SUB_DIRECTORIES, DNG_VERSION = 262, 330, 50706
# Of TIFF/EP and DNG: a mosaic of colours, and one that was taken apart.
_RAW_SAMPLES = (32803, 34892)
MOST_DIRECTORIES, MOST_TAGS = 20, 500
# The bytes of the types that numbers of these tags have.
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}


def is_raw(data: bytes) -> bool:
    """Return whether data are a raw photograph, by their signature or the samples of a TIFF."""
    if _SIGNATURE.match(data):
        return True
    if not _TIFF.match(data):
        return False
    try:
        return any(
            DNG_VERSION in tags or tags.get(PHOTOMETRIC, [0])[0] in _RAW_SAMPLES
            for tags in _directories(data)
        )
    except struct.error:
        return False


def open_raw(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a raw photograph: its preview if that is large enough, else the raw itself."""
    import rawpy

    try:
        raw = rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawError as error:
        # Its text is bytes.
        raise OSError(error.args[0].decode(errors="replace")) from error
    sizes = raw.sizes
    preview = _preview(raw)
    longer = max(sizes.width, sizes.height)
    if preview and max(preview.size) >= min(ENOUGH, longer / 2):
        return preview
    check_size((sizes.raw_width, sizes.raw_height), max_pixels)
    is_half = longer >= 2 * ENOUGH
    by = 2 if is_half else 1
    size = -(-sizes.width // by), -(-sizes.height // by)
    is_lying = sizes.flip in (5, 6)
    develop = partial(_developed, raw, is_half)
    return Deferred(size[::-1] if is_lying else size, "RGB", develop)


def _preview(raw: Any) -> ImageFile.ImageFile | None:
    """Return the largest JPEG that a raw embeds, with the orientation that it says; or None."""
    import rawpy

    try:
        found = raw.extract_thumb()
        return JpegFile(found.data) if found.format == rawpy.ThumbFormat.JPEG else None
    except (rawpy.LibRawError, OSError, SyntaxError):
        return None


def _developed(raw: Any, is_half: bool) -> Image.Image:
    return Image.fromarray(raw.postprocess(half_size=is_half, use_camera_wb=True))


def _directories(data: bytes) -> Iterator[dict[int, list[int]]]:
    """Yield the numbers of each directory of a TIFF, by tag. Raises struct.error."""
    order = "<" if data[:2] == b"II" else ">"
    waiting = list(struct.unpack_from(order + "I", data, 4))
    for _ in range(MOST_DIRECTORIES):
        if not waiting or not waiting[0]:
            return
        at = waiting.pop(0)
        (n_tags,) = struct.unpack_from(order + "H", data, at)
        n_tags = min(n_tags, MOST_TAGS)
        tags = dict(_numbers(data, order, at + 2 + 12 * n) for n in range(n_tags))
        yield tags
        waiting += tags.get(SUB_DIRECTORIES, [])
        (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * n_tags)
        waiting += [following] if following else []


def _numbers(data: bytes, order: str, at: int) -> tuple[int, list[int]]:
    tag, kind, count = struct.unpack_from(order + "HHI", data, at)
    if kind not in _NUMBERS or tag not in (PHOTOMETRIC, SUB_DIRECTORIES, DNG_VERSION):
        return tag, []
    numbers = f"{order}{min(count, MOST_DIRECTORIES)}{_NUMBERS[kind]}"
    place = at + 8
    if struct.calcsize(numbers) > 4:
        (place,) = struct.unpack_from(order + "I", data, at + 8)
    return tag, list(struct.unpack_from(numbers, data, place)) or [0]


FORMATS = (
    Format(
        "raw",
        ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw "
        ".orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
        is_raw,
        open_raw,
        package="rawpy",
        extra="raw",
        is_apart=True,
        bytes_a_pixel=40.0,
    ),
)
