"""PNG: only what pixels need is read, and a transparent colour is compared in full depth."""

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
# Files of a gigabyte have a tenth of that; each chunk costs time however few bytes it has.
MOST_CHUNKS = 1_000_000
# Of a text that may hold EXIF; Pillow refuses the whole picture for one that is longer.
LONGEST_TEXT = 2**20
# Chunks beside the pixels that may count, and the keyword of those that are text.
_TELLING = {
    **dict.fromkeys((b"iCCP", b"tRNS", b"eXIf"), b""),
    **dict.fromkeys((b"tEXt", b"zTXt"), b"Raw profile type exif"),
    b"iTXt": b"XML:com.adobe.xmp",
}
# What Pillow multiplies the grey values of so many bits by.
_SPREAD = {2: 85, 4: 17}


class Chunk(NamedTuple):
    """A chunk: its kind, where it begins and ends in the file, and where its content does."""

    kind: bytes
    begin: int
    end: int
    content: slice


@dataclass(slots=True)
class Clean:
    """A PNG of only the chunks that Pillow needs, and what else the picture needs to be right."""

    data: bytes
    profile: bytes | None = None
    depth: int = 0
    # The one colour that is transparent: a level, or three.
    key: tuple[int, ...] = field(default=())


class PngFile(PngImageFile):
    """A PNG, opened: text, animation and whatever is damaged beside the pixels is left out."""

    def __init__(self, data: bytes) -> None:
        self._clean = clean(data)
        self._timed = TimedBytes(self._clean.data)
        super().__init__(self._timed)
        if self._clean.profile:
            self.info["icc_profile"] = self._clean.profile
        if key := self._clean.key:
            self.info["transparency"] = key[0] if len(key) == 1 else key

    def load(self) -> Any:
        """Decode the pixels. Grey of 16 bits becomes L, a transparent colour an alpha channel."""
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
        """Return the EXIF, for which Pillow would decode the pixels: it stands before them here."""
        return ImageFile.ImageFile.getexif(self)

    def _become(self, image: Image.Image) -> None:
        self.im = image.im
        self._mode = image.mode

    def _differs(self, key: tuple[int, ...]) -> NDArray[np.bool_]:
        """Tell of each pixel whether it has another colour than the transparent one."""
        depth = self._clean.depth
        levels = [level & (2**depth - 1) for level in key]
        if len(levels) == 1:
            return _other_than(np.asarray(self), [levels[0] * _SPREAD.get(depth, 1)])
        if depth == 8:
            return _other_than(np.asarray(self), levels)
        # Pillow keeps the upper byte of sixteen bits; the lower ones are decoded by themselves.
        upper = _other_than(np.asarray(self), [level >> 8 for level in levels])
        return upper | _other_than(self._lower_bytes(), [level & 255 for level in levels])

    def _lower_bytes(self) -> NDArray[np.uint8]:
        other = PngImageFile(self._timed.beside(self._clean.data))
        other.tile = [tile._replace(args="RGB;16L") for tile in other.tile]
        return np.asarray(other)


def clean(data: bytes) -> Clean:
    """Leave out of a PNG what its pixels do not need, and what is damaged of the rest.

    What it keeps: header, palette, pixels; EXIF and what may hold it; tables of transparency. A
    damaged file is left as damaged as it is: Pillow says what is wrong.
    """
    found = Clean(b"")
    front: list[bytes | memoryview] = [SIGNATURE]
    pixels: list[bytes | memoryview] = []
    view, colour_type, end = memoryview(data), -1, 0
    # Of each kind only the first counts: a file of many is decompressed once, not a million times.
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
    # Behind pixels that break off, an end would be taken for pixels.
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
    """Yield the chunks up to the end of the file, the last one perhaps cut off."""
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
    """Tell whether a chunk is one of those in which Pillow looks for EXIF's orientation."""
    keyword = bytes(content[:80]).partition(b"\0")[0]
    return chunk.kind == b"eXIf" or _TELLING[chunk.kind] == keyword


def _is_readable(kind: bytes, content: memoryview) -> bool:
    """Tell whether Pillow can read a text, for whose length it would refuse the picture else."""
    if len(content) > LONGEST_TEXT:
        return False
    text = bytes(content).partition(b"\0")[2]
    if kind == b"zTXt":
        return text[:1] == b"\0" and _fits(text[1:])
    # Compressed or not, by which method; language, keyword in that language, text.
    return kind == b"tEXt" or text[:1] == b"\0" or _fits(text[2:].split(b"\0", 2)[-1])


def _fits(compressed: bytes) -> bool:
    return _inflated(compressed, LONGEST_TEXT) is not None


def _profile(content: bytes) -> bytes | None:
    _, _, rest = content.partition(b"\0")
    return _inflated(rest[1:], LARGEST_PROFILE) if rest[:1] == b"\0" else None


def _inflated(compressed: bytes, limit: int) -> bytes | None:
    """Decompress, or return None: damaged, or longer than the limit."""
    try:
        decompressor = zlib.decompressobj()
        plain = decompressor.decompress(compressed, limit)
    except zlib.error:
        return None
    return None if decompressor.unconsumed_tail else plain
