"""Removes a TIFF's broken tags: values outside the file that no pixel needs."""

import struct

# Bytes per value of each tag type; Pillow skips other types.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8}
# Sizes, samples, pixel offsets, colour maps, JPEG tables, YCbCr parameters.
_NEEDED = frozenset(
    (
        *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320),
        *(322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532),
    )
)
# The type of a blanked tag: one byte.
_NOTHING = 1


def without_broken_tags(data: bytes) -> bytes:
    """Blank the first picture's tags whose values are outside the file, unless pixels need them.

    Pillow would stop reading tags at the first broken one. Lengths and offsets stay the same.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = b"+" in data[2:4]
    try:
        (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
        (n_tags,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)
    except struct.error:
        return data
    entry = struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    first = at + (8 if is_big else 2)
    n_there = max(0, len(data) - first) // entry.size
    broken = [
        place
        for place in range(first, first + min(n_tags, n_there) * entry.size, entry.size)
        if _leads_out(entry.unpack_from(data, place), len(data), 8 if is_big else 4)
    ]
    if not broken:
        return data
    blanked = bytearray(data)
    for place in broken:
        (tag,) = struct.unpack_from(order + "H", data, place)
        entry.pack_into(blanked, place, tag, _NOTHING, 1, 0)
    return bytes(blanked)


def _leads_out(entry: tuple[int, ...], n_bytes: int, inline: int) -> bool:
    tag, kind, count, place = entry
    size = _BYTES.get(kind, 0) * count
    return tag not in _NEEDED and size > inline and place + size > n_bytes
