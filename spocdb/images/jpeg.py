"""JPEG: only what pixels need is read, scans are counted, and an end may be missing."""

import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL.JpegImagePlugin import JpegImageFile

from spocdb.errors import UnreadableImage
from spocdb.images.deadline import TimedBytes

END = b"\xff\xd9"
# A progressive JPEG has about ten. Each takes a pass over the whole picture, however few bytes it
# has: the limit bounds what a small file can cost.
MAX_SCANS = 100
# Cameras write some twenty, and a profile of a megabyte takes as many.
MOST_SEGMENTS = 10_000
# Bytes given to the decoder at a time: a file of many small scans is asked for its time often.
BLOCK = 8192

_START_OF_SCAN = 0xDA
# Without restart markers and others that have no length; 00 is a byte of pixels, FF is padding.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
# The SOF markers; and with them the tables: DHT, DAC, DQT, DNL, DRI.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NEEDED = _FRAMES | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD}
# Application segments that say something about pixels or how to turn them, and the least length of
# the content that is whole.
_TELLING = (
    (0xE0, b"JFIF\0", 14),
    (0xE1, b"Exif\0\0", 6),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", 29),
    (0xE2, b"ICC_PROFILE\0", 15),
    (0xEE, b"Adobe", 12),
)
# No two begin with codes that the usual tables decode alike.
_FILLERS = (b"", b"\x92\x49\x24" * 256, b"\xb6\xdb\x6d" * 256)


class Segment(NamedTuple):
    """A marker, where it begins, and where its content begins and ends."""

    marker: int
    begin: int
    content: int
    end: int


class Clean(NamedTuple):
    """A JPEG of only the segments that Pillow needs, and how many components its first scan has."""

    data: bytes
    n_in_first_scan: int


class JpegFile(JpegImageFile):
    """A JPEG, opened: segments that say nothing about its pixels are left out.

    `is_collected` says that its coefficients are held whole in memory: it comes in several scans.
    """

    def __init__(self, data: bytes) -> None:
        self._clean, n_in_first_scan = clean(data)
        self._lacks_end = not _has_end(data)
        self._timed = TimedBytes(self._clean + END if self._lacks_end else self._clean)
        super().__init__(self._timed)
        self.is_collected = "progressive" in self.info or n_in_first_scan < self.layers
        if self.is_collected:
            check_scans(self._clean)
            self.decodermaxblock = BLOCK

    def load(self) -> Any:
        """Decode the pixels. Raises OSError where a file without an end lacks pixels too."""
        if self.tile and self._lacks_end and not _has_all_pixels(self._clean, self._timed):
            raise OSError("the file is truncated: pixels are missing")
        return super().load()


def clean(data: bytes) -> Clean:
    """Leave out of a JPEG's header what its pixels do not need, and what is damaged of that.

    A header that cannot be followed is left as it is: Pillow says what is wrong.
    """
    telling: list[bytes] = []
    needed: list[bytes] = []
    for segment in _segments(data, 2):
        whole = data[segment.begin : segment.end]
        if segment.marker == _START_OF_SCAN:
            # Profiles come first, because Pillow takes note of none behind the frame.
            rest = memoryview(data)[segment.begin :]
            n_in_scan = data[segment.content] if segment.content < segment.end else 0
            return Clean(b"".join((data[:2], *telling, *needed, rest)), n_in_scan)
        if segment.marker in _NEEDED:
            needed.append(whole)
        elif _tells(segment.marker, data[segment.content : segment.end]):
            telling.append(whole)
    return Clean(data, 0)


def check_scans(data: bytes) -> None:
    """Raise UnreadableImage for a JPEG of more scans than MAX_SCANS."""
    # The marker also occurs in thumbnails and further pictures: only then is it worth a walk.
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return
    n_scans = sum(segment.marker == _START_OF_SCAN for segment in _segments(data, 2))
    if n_scans > MAX_SCANS:
        raise UnreadableImage(
            f"a JPEG of {n_scans} scans, more than the limit of {MAX_SCANS}: "
            "save it again by another program"
        )


def _segments(data: bytes, at: int) -> Iterator[Segment]:
    """Yield the segments up to the end of the picture, over whatever lies between them."""
    for _ in range(MOST_SEGMENTS):
        if (found := _MARKER.search(data, at)) is None:
            return
        begin, marker = found.start(), data[found.start() + 1]
        if marker == END[1] or begin + 4 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, begin + 2)
        end = begin + 2 + length
        if length < 2 or end > len(data):
            return
        yield Segment(marker, begin, begin + 4, end)
        at = end
    raise ValueError(f"more than {MOST_SEGMENTS} segments")


def _tells(marker: int, content: bytes) -> bool:
    return any(
        marker == kind and content.startswith(name) and len(content) >= least
        for kind, name, least in _TELLING
    )


def _has_end(data: bytes) -> bool:
    if data.endswith(END):
        return True
    scans = [s.end for s in _segments(data, 2) if s.marker == _START_OF_SCAN]
    return not scans or data.find(END, scans[-1]) >= 0


def _has_all_pixels(data: bytes, timed: TimedBytes) -> bool:
    """Tell whether a JPEG that breaks off does so behind its last pixel.

    Decodes it several times, with different bytes in place of what is missing. The decoder skips
    them where it needs no more, else they become different pixels.
    """
    # The first byte of a marker, or half of an escaped one.
    data = data.removesuffix(b"\xff")
    if not _has_all_scans(data):
        return False
    first, *others = (timed.beside(data + filler + END) for filler in _FILLERS)
    pixels = _pixels(first)
    return all(_pixels(other) == pixels for other in others)


def _pixels(file: TimedBytes) -> bytes:
    image = JpegImageFile(file)
    image.decodermaxblock = BLOCK
    return image.tobytes()


def _has_all_scans(data: bytes) -> bool:
    """Tell whether every coefficient of every component has its last bit in some scan."""
    components = 1
    complete: dict[int, set[int]] = {}
    for segment in _segments(data, 2):
        content = data[segment.content : segment.end]
        if segment.marker in _FRAMES and len(content) > 5:
            components = content[5]
        if segment.marker == _START_OF_SCAN and len(content) >= 4 + 2 * content[0]:
            first, last, bits = content[1 + 2 * content[0] :][:3]
            if bits & 15 == 0:
                for i in range(content[0]):
                    complete.setdefault(content[1 + 2 * i], set()).update(range(first, last + 1))
    return len(complete) == components and all(len(known) == 64 for known in complete.values())
