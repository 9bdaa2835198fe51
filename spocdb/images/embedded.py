"""The colour profiles of BMP and GIF, which Pillow does not read."""

import struct

# Length of BMP's V5 header, and its mark of an embedded profile, which follows the pixels.
_BMP_HEADER, _EMBEDDED = 124, b"DEBM"
_GIF_PROFILE = b"ICCRGBG1012"
# Limit on the blocks before a GIF's first picture, of up to 255 bytes each.
MOST_BLOCKS = 100_000


def bmp_profile(data: bytes) -> bytes | None:
    """Return the profile that a BMP embeds, or None."""
    if len(data) < 14 + _BMP_HEADER or data[14] != _BMP_HEADER or data[70:74] != _EMBEDDED:
        return None
    begin, length = struct.unpack_from("<II", data, 126)
    return data[14 + begin : 14 + begin + length]


def gif_profile(data: bytes) -> bytes | None:
    """Return the profile that a GIF embeds before its first picture, or None."""
    try:
        at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 128 else 0)
        found: list[bytes] | None = None
        for _ in range(MOST_BLOCKS):
            if found is None and data[at] != 0x21:
                return None
            if found is None:
                # An extension: skip introducer and kind; the first block may name an application.
                at += 2
                found = []
            length = data[at]
            found.append(data[at + 1 : at + 1 + length])
            at += 1 + length
            if not length:
                if found[0] == _GIF_PROFILE:
                    return b"".join(found[1:])
                found = None
    except IndexError:
        pass
    return None
