"""WebP: reads only the chunks of the first picture, and undamaged metadata."""

import struct
from collections.abc import Iterator

from PIL.WebPImagePlugin import WebPImageFile

from spocdb.images.deadline import TimedBytes

_FRAME = b"ANMF"
_PIXELS = (b"VP8X", b"ANIM", _FRAME, b"ALPH", b"VP8 ", b"VP8L")
_METADATA = (b"ICCP", b"EXIF", b"XMP ")
# A still picture has one or two chunks of pixels, and a few of metadata.
MOST_CHUNKS = 1000


def open_webp(data: bytes) -> WebPImageFile:
    """Open a WebP without the chunks that its first picture does not need."""
    return WebPImageFile(TimedBytes(clean(data)))


def clean(data: bytes) -> bytes:
    """Remove truncated metadata, unknown chunks, and all frames but the first."""
    kept: list[bytes] = []
    n_frames = 0
    for kind, chunk, is_whole in _chunks(data):
        n_frames += kind == _FRAME
        if (kind in _PIXELS and n_frames <= 1) or (kind in _METADATA and is_whole):
            kept.append(chunk)
    content = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the kind of each chunk, the chunk itself, and whether the file has all of it."""
    at = 12
    for _ in range(MOST_CHUNKS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        # The padding byte after an odd length may be missing: some programs leave it out.
        is_whole = at + 8 + length <= len(data)
        chunk = data[at:end]
        yield kind, chunk + bytes(is_whole * (end - at - len(chunk))), is_whole
        at = end
