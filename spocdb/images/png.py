"""PNG: reads only the chunks that pixels need, compares a transparent colour in full depth."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

from spocdb.images.deadline import TimedBytes
from spocdb.images.profiles import LARGEST_PROFILE
from spocdb.images.wide import to_grey

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"
GREY, TRUECOLOUR, PALETTE = 0, 2, 3
# Files of a gigabyte have a tenth of that. Each chunk costs time, even if it has few bytes.
MOST_CHUNKS = 1_000_000
# Limit on a text that may hold EXIF; Pillow would refuse the whole picture for a longer one.
LONGEST_TEXT = 2**20
# Chunks with information on colours or orientation, and the keyword of text chunks.
_TELLING = {
    **dict.fromkeys((b"iCCP", b"tRNS", b"eXIf"), b""),
    **dict.fromkeys((b"tEXt", b"zTXt"), b"Raw profile type exif"),
    b"iTXt": b"XML:com.adobe.xmp",
}
# Bits per sample -> the factor by which Pillow multiplies grey values.
_SPREAD = {2: 85, 4: 17}


class Chunk(NamedTuple):
    """A chunk: its kind, its begin and end in the file, and the slice of its content."""

    kind: bytes
    begin: int
    end: int
    content: slice


@dataclass(slots=True)
class Clean:
    """A PNG of only the chunks that Pillow needs, with profile, depth and transparent colour."""

    data: bytes
    profile: bytes | None = None
    depth: int = 0
    # The transparent colour: one level for grey, three for RGB, empty without one.
    key: tuple[int, ...] = field(default=())


class PngFile(PngImageFile):
    """An opened PNG, without text, animation and damaged metadata."""

    def __init__(self, data: bytes) -> None:
        self._clean = clean(data)
        self._timed = TimedBytes(self._clean.data)
        super().__init__(self._timed)
        if self._clean.profile:
            self.info["icc_profile"] = self._clean.profile
        if key := self._clean.key:
            self.info["transparency"] = key[0] if len(key) == 1 else key

    def load(self) -> Any:
        """Decode the pixels. 16-bit grey becomes L, a transparent colour an alpha channel."""
        if not self.tile:
            return super().load()
        super().load()
        self.info.pop("transparency" if self._clean.key else "", None)
        opaque = self._differs(self._clean.key) if self._clean.key else None
        if self.mode == "I;16":
            self._become(to_grey(np.asarray(self), 65535))
        if opaque is not None:
            self._become(self.convert("RGB"))
            alpha = Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
            self.putalpha(alpha)
        return super().load()

    def getexif(self) -> Image.Exif:
        """Return the EXIF without decoding the pixels, as `clean` has moved it before them."""
        return ImageFile.ImageFile.getexif(self)

    def _become(self, image: Image.Image) -> None:
        self.im = image.im
        self._mode = image.mode

    def _differs(self, key: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return for each pixel whether it differs from the transparent colour."""
        depth = self._clean.depth
        levels = [level & (2**depth - 1) for level in key]
        if len(levels) == 1:
            return _other_than(np.asarray(self), [levels[0] * _SPREAD.get(depth, 1)])
        if depth == 8:
            return _other_than(np.asarray(self), levels)
        # Pillow keeps only the upper byte of sixteen bits; decode the lower bytes separately.
        upper = _other_than(np.asarray(self), [level >> 8 for level in levels])
        return upper | _other_than(self._lower_bytes(), [level & 255 for level in levels])

    def _lower_bytes(self) -> NDArray[np.uint8]:
        other = PngImageFile(self._timed.beside(self._clean.data))
        other.tile = [tile._replace(args="RGB;16L") for tile in other.tile]
        return np.asarray(other)


def clean(data: bytes) -> Clean:
    """Remove from a PNG the chunks that its pixels do not need, and damaged metadata.

    Keeps header, palette and pixels, EXIF and texts that may hold it, and transparency. Damage in
    header, palette and pixels stays, so that Pillow reports the error.
    """
    found = Clean(b"")
    front: list[bytes | memoryview] = [SIGNATURE]
    pixels: list[bytes | memoryview] = []
    view, colour_type, end = memoryview(data), -1, 0
    # Only the first chunk of each kind counts, so that a hostile file is decompressed only once.
    met: set[bytes] = set()
    for chunk in _chunks(data):
        content = view[chunk.content]
        if chunk.kind == b"IDAT":
            pixels.append(view[chunk.begin : chunk.end])
            end = chunk.end
        elif chunk.kind == b"IHDR" and colour_type < 0 and len(content) >= 13:
            found.depth, colour_type = content[8], content[9]
            front.append(view[chunk.begin : chunk.end])
        elif chunk.kind in (b"IHDR", b"PLTE"):
            front.append(view[chunk.begin : chunk.end])
        elif chunk.kind not in _TELLING or chunk.kind in met or not _is_whole(data, chunk):
            continue
        elif chunk.kind == b"iCCP":
            met.add(chunk.kind)
            found.profile = _profile(bytes(content))
        elif chunk.kind == b"tRNS" and colour_type in (GREY, TRUECOLOUR):
            met.add(chunk.kind)
            found.key = _key(content, 1 if colour_type == GREY else 3)
        elif (chunk.kind == b"tRNS" and colour_type == PALETTE) or _names_exif(chunk, content):
            met.add(chunk.kind)
            if chunk.kind in (b"tRNS", b"eXIf") or _is_readable(chunk.kind, content):
                front.append(view[chunk.begin : chunk.end])
    # After truncated pixels, Pillow would read an end chunk as pixels.
    ending = END if end <= len(data) else b""
    found.data = b"".join((*front, *pixels, ending))
    return found


def _other_than(values: NDArray[Any], levels: list[int]) -> NDArray[np.bool_]:
    """Compare pixels (H, W) or (H, W, 3) with a colour; True where they differ."""
    planes = values[..., None] if len(levels) == 1 else values
    differs = np.zeros(planes.shape[:2], np.bool_)
    for i, level in enumerate(levels):
        differs |= planes[..., i] != level
    return differs


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end of the file; the last one may be truncated."""
    at = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND" or not kind.isalpha():
            return
        yield Chunk(kind, at, at + 12 + length, slice(at + 8, at + 8 + length))
        at += 12 + length
    raise ValueError(f"more than {MOST_CHUNKS} chunks")


def _is_whole(data: bytes, chunk: Chunk) -> bool:
    if chunk.end > len(data):
        return False
    (checksum,) = struct.unpack_from(">I", data, chunk.content.stop)
    content = memoryview(data)[chunk.begin + 4 : chunk.content.stop]
    return bool(checksum == zlib.crc32(content))


def _key(content: memoryview, n_levels: int) -> tuple[int, ...]:
    if len(content) < 2 * n_levels:
        return ()
    return struct.unpack_from(f">{n_levels}H", content)


def _names_exif(chunk: Chunk, content: memoryview) -> bool:
    """Return whether Pillow looks for the EXIF orientation in this chunk."""
    keyword = bytes(content[:80]).partition(b"\0")[0]
    return chunk.kind == b"eXIf" or _TELLING[chunk.kind] == keyword


def _is_readable(kind: bytes, content: memoryview) -> bool:
    """Return whether a text is short enough; Pillow would refuse the picture for a longer one."""
    if len(content) > LONGEST_TEXT:
        return False
    text = bytes(content).partition(b"\0")[2]
    if kind == b"zTXt":
        return text[:1] == b"\0" and _fits(text[1:])
    # iTXt: a compression flag and method; language, keyword in that language, text.
    return kind == b"tEXt" or text[:1] == b"\0" or _fits(text[2:].split(b"\0", 2)[-1])


def _fits(compressed: bytes) -> bool:
    return _inflated(compressed, LONGEST_TEXT) is not None


def _profile(content: bytes) -> bytes | None:
    _, _, rest = content.partition(b"\0")
    return _inflated(rest[1:], LARGEST_PROFILE) if rest[:1] == b"\0" else None


def _inflated(compressed: bytes, limit: int) -> bytes | None:
    """Decompress; return None if the data are damaged or the result exceeds the limit."""
    try:
        decompressor = zlib.decompressobj()
        plain = decompressor.decompress(compressed, limit)
    except zlib.error:
        return None
    return None if decompressor.unconsumed_tail else plain
