"""The boxes of ISO media files; of AVIF and HEIC the picture's size, crop and EXIF."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_FILE = re.compile(rb".{4}ftyp(avi[fs]|mif[12]|msf1|he[iv][cxms])", re.DOTALL)
_AVIF_BRANDS = {b"avif", b"avis"}
# Limit on boxes, items and extents; camera files stay far below it.
MOST_BOXES = 10_000


@dataclass(frozen=True, slots=True)
class Box:
    """A box of an ISO media file: its kind, and where its content begins and ends."""

    kind: bytes
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The main picture's properties, read from the boxes.

    `size` is before cropping and turning; `crop` is left, top, right, bottom in it.
    """

    brands: frozenset[bytes]
    codec: bytes
    size: tuple[int, int] | None
    crop: tuple[int, int, int, int] | None


def is_picture(data: bytes) -> bool:
    """Return whether a file begins as an AVIF or HEIC file does."""
    return _FILE.match(data) is not None


def is_avif(found: Picture) -> bool:
    """Return whether a picture is AVIF and not HEIC, which share their brands."""
    return found.codec == b"av01" or bool(found.brands & _AVIF_BRANDS and found.codec != b"hvc1")


def picture(data: bytes) -> Picture:
    """Read the boxes of an AVIF or HEIC file. Damaged boxes leave their values empty."""
    brands: frozenset[bytes] = frozenset()
    codec, size, crop = b"", None, None
    try:
        brands = _brands(data)
        meta = inside(data, Box(b"", 0, len(data)), b"meta")
        main = _main_item(data, meta)
        codec = _items(data, meta)[main][0]
        for kind, content in _properties(data, meta, main):
            if kind == b"ispe":
                size = struct.unpack_from(">II", content, 4)
            elif kind == b"clap" and size:
                crop = _aperture(content, size)
    except (KeyError, IndexError, struct.error):
        pass
    return Picture(brands, codec, size, crop)


def without_metadata(data: bytes) -> bytes:
    """Hide EXIF and XMP from a decoder, which would refuse a picture whose metadata is damaged.

    Renames their items to "skip", of the same length, so that all offsets stay valid.
    """
    try:
        meta = inside(data, Box(b"", 0, len(data)), b"meta")
        places = [at for kind, at in _items(data, meta).values() if kind in (b"Exif", b"mime")]
    except (KeyError, IndexError, struct.error):
        return data
    if not places:
        return data
    hidden = bytearray(data)
    for at in places:
        hidden[at : at + 4] = b"skip"
    return bytes(hidden)


def exif(data: bytes) -> bytes | None:
    """Return the EXIF block from its byte order mark on, or None."""
    try:
        meta = inside(data, Box(b"", 0, len(data)), b"meta")
        (item,) = (number for number, (kind, _) in _items(data, meta).items() if kind == b"Exif")
        block = _content(data, meta, item)
        (skipped,) = struct.unpack_from(">I", block)
    except (KeyError, IndexError, ValueError, struct.error):
        return None
    return block[4 + skipped :] or None


def _boxes(data: bytes, outer: Box) -> Iterator[Box]:
    at = outer.begin
    for _ in range(MOST_BOXES):
        if at + 8 > outer.end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = outer.end if size == 0 else at + size
        if end < begin or end > outer.end:
            return
        yield Box(kind, begin, end)
        at = end


def inside(data: bytes, outer: Box, kind: bytes) -> Box:
    """Return the first box of a kind inside another. Raises KeyError if there is none."""
    for box in each_inside(data, outer, kind):
        return box
    raise KeyError(kind)


def each_inside(data: bytes, outer: Box, kind: bytes) -> Iterator[Box]:
    """Yield the boxes of a kind inside another, or inside `Box(b"", 0, len(data))`, the file."""
    # Full boxes begin with a version and flags.
    skipped = 4 if outer.kind == b"meta" else 0
    inner = Box(outer.kind, outer.begin + skipped, outer.end)
    return (box for box in _boxes(data, inner) if box.kind == kind)


def _brands(data: bytes) -> frozenset[bytes]:
    box = inside(data, Box(b"", 0, len(data)), b"ftyp")
    end = min(box.end, box.begin + 4 * MOST_BOXES)
    starts = [box.begin, *range(box.begin + 8, end - 3, 4)]
    return frozenset(data[at : at + 4] for at in starts)


def _main_item(data: bytes, meta: Box) -> int:
    box = inside(data, meta, b"pitm")
    (item,) = struct.unpack_from(">I" if data[box.begin] else ">H", data, box.begin + 4)
    return int(item)


def _items(data: bytes, meta: Box) -> dict[int, tuple[bytes, int]]:
    """Return each item's kind, and the kind's offset in the file."""
    box = inside(data, meta, b"iinf")
    first = box.begin + (6 if data[box.begin] == 0 else 8)
    items: dict[int, tuple[bytes, int]] = {}
    for entry in _boxes(data, Box(b"", first, box.end)):
        version = data[entry.begin]
        if entry.kind != b"infe" or version < 2:
            continue
        (item,) = struct.unpack_from(">H" if version == 2 else ">I", data, entry.begin + 4)
        at = entry.begin + (8 if version == 2 else 10)
        if at + 4 <= entry.end:
            items[item] = (data[at : at + 4], at)
    return items


def _properties(data: bytes, meta: Box, item: int) -> Iterator[tuple[bytes, bytes]]:
    properties = inside(data, meta, b"iprp")
    known = list(_boxes(data, inside(data, properties, b"ipco")))
    for association in _boxes(data, properties):
        if association.kind == b"ipma":
            for index in _indices(data, association, item):
                if 0 < index <= len(known):
                    box = known[index - 1]
                    yield box.kind, data[box.begin : box.end]


def _indices(data: bytes, ipma: Box, item: int) -> list[int]:
    version, wide = data[ipma.begin], data[ipma.begin + 3] & 1
    (n_items,) = struct.unpack_from(">I", data, ipma.begin + 4)
    at = ipma.begin + 8
    for _ in range(min(n_items, MOST_BOXES)):
        (found,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        n, at = data[at], at + 1
        indices = struct.unpack_from(f">{n}{'H' if wide else 'B'}", data, at)
        at += n * (2 if wide else 1)
        if found == item:
            return [index & (0x7FFF if wide else 0x7F) for index in indices]
    return []


def _content(data: bytes, meta: Box, item: int) -> bytes:
    """Join the extents of an item."""
    box = inside(data, meta, b"iloc")
    version, sizes = data[box.begin], data[box.begin + 4 : box.begin + 6]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    at = box.begin + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(min(number(2 if version < 2 else 4), MOST_BOXES)):
        found = number(2 if version < 2 else 4)
        method = number(2) & 15 if version else 0
        number(2)  # data reference index, ignored
        base, extents = number(base_size), []
        for _ in range(min(number(2), MOST_BOXES)):
            number(index_size)
            extents.append((base + number(offset_size), number(length_size)))
        if found == item:
            start = inside(data, meta, b"idat").begin if method == 1 else 0
            return b"".join(data[start + a : start + a + n] for a, n in extents)
    raise KeyError(item)


def _aperture(content: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the rectangle of a clean aperture; None if it is not within the picture."""
    numbers = struct.unpack_from(">IIIIiIiI", content)
    if not all(numbers[1::2]):
        return None
    width, height, x, y = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
    left, top = (size[0] - width) / 2 + x, (size[1] - height) / 2 + y
    edges = (left, top, left + width, top + height)
    if any(edge.denominator != 1 for edge in edges):
        return None
    crop = (int(left), int(top), int(left + width), int(top + height))
    inside = 0 <= crop[0] < crop[2] <= size[0] and 0 <= crop[1] < crop[3] <= size[1]
    return crop if inside else None
