"""JPEG: reads only the segments that pixels need, limits scans, accepts a missing end marker."""

import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL.JpegImagePlugin import JpegImageFile

from spocdb.errors import UnreadableImage
from spocdb.images.deadline import TimedBytes

END = b"\xff\xd9"
# A progressive JPEG has about ten scans. Each is a pass over the whole picture, even if it has few
# bytes, so the limit bounds the cost of a small hostile file.
MAX_SCANS = 100
# Cameras write about twenty, and a profile of a megabyte needs about twenty more.
MOST_SEGMENTS = 10_000
# Bytes given to the decoder at a time. Small, so that the deadline is checked often in a file of
# many small scans.
BLOCK = 8192

_START_OF_SCAN = 0xDA
# Excludes markers without a length, such as restarts. FF 00 is pixel data, FF FF is padding.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
# The SOF markers; the needed segments are these and the tables DHT, DAC, DQT, DNL, DRI.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NEEDED = _FRAMES | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD}
# Application segments with information on pixels or orientation, and the least length of an
# undamaged content.
_TELLING = (
    (0xE0, b"JFIF\0", 14),
    (0xE1, b"Exif\0\0", 6),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", 29),
    (0xE2, b"ICC_PROFILE\0", 15),
    (0xEE, b"Adobe", 12),
)
# The usual Huffman tables decode the beginnings of these fillers differently.
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
    """An opened JPEG, without the segments that its pixels do not need.

    `is_collected` is True for a JPEG of several scans, whose coefficients are all held in memory.
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
        """Decode the pixels.

        Raises:
            OSError: The file is truncated and lacks pixels.
        """
        if self.tile and self._lacks_end and not _has_all_pixels(self._clean, self._timed):
            raise OSError("the file is truncated: pixels are missing")
        return super().load()


def clean(data: bytes) -> Clean:
    """Remove from a JPEG's header the segments that its pixels do not need, and damaged ones.

    A malformed header is left unchanged, so that Pillow reports the error.
    """
    telling: list[bytes] = []
    needed: list[bytes] = []
    for segment in _segments(data, 2):
        whole = data[segment.begin : segment.end]
        if segment.marker == _START_OF_SCAN:
            # Profiles come first, because Pillow ignores those behind the frame.
            rest = memoryview(data)[segment.begin :]
            n_in_scan = data[segment.content] if segment.content < segment.end else 0
            return Clean(b"".join((data[:2], *telling, *needed, rest)), n_in_scan)
        if segment.marker in _NEEDED:
            needed.append(whole)
        elif _tells(segment.marker, data[segment.content : segment.end]):
            telling.append(whole)
    return Clean(data, 0)


def check_scans(data: bytes) -> None:
    """Check the number of a JPEG's scans.

    Raises:
        UnreadableImage: The JPEG has more than MAX_SCANS.
    """
    # A cheap upper bound first: the marker also occurs in thumbnails and further pictures.
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return
    n_scans = sum(segment.marker == _START_OF_SCAN for segment in _segments(data, 2))
    if n_scans > MAX_SCANS:
        raise UnreadableImage(
            f"a JPEG of {n_scans} scans, more than the limit of {MAX_SCANS}: "
            "save it again with another program"
        )


def _segments(data: bytes, at: int) -> Iterator[Segment]:
    """Yield the segments up to the end of the picture, skipping any bytes between them."""
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
    """Return whether a JPEG without an end marker still has all of its pixels.

    Decodes it several times, each time with different bytes appended. If pixels are missing, the
    decoder turns these bytes into different pixels; else it skips them.
    """
    # A final FF is half of a marker or of an escaped byte.
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
    """Return whether the scans hold every coefficient of every component down to its last bit."""
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
