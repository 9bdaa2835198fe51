"""A picture of a video, using PyAV (FFmpeg) if it is installed.

It is the first key frame that is not black: films often begin with a fade from black.
"""

import io
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from spocdb.images.declarations import Deferred, Format, check_size
from spocdb.images.geometry import turned, turned_size

_SIGNATURE = re.compile(
    rb".{4}ftyp(iso[m2-9]|mp4[12]|avc1|M4V|qt  |3g[p2]|dash|MSNV|f4v |mmp4)|"
    rb"\0.{3}(moov|mdat|wide|free)|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV\x01|\0\0\x01[\xba\xb3]|"
    rb"G.{187}G|.{4}G.{191}G|0&\xb2\x75\x8e\x66\xcf\x11|OggS",
    re.DOTALL,
)
# Black is a picture whose brightness, of 0 to 255, is nowhere far from its mean, which is low.
DARK, FLAT = 24, 8
# The key frames that are looked at; if all are black, the last of them is the picture.
MOST_FRAMES = 50
# The degrees that a player turns counter-clockwise -> EXIF orientation.
_TURNS = {90: 8, 180: 3, 270: 6}


def open_video(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a video. Its size is that of the picture as players show it."""
    import av

    container = av.open(io.BytesIO(data))
    if not container.streams.video:
        raise ValueError("it has no video track")
    stream = container.streams.video[0]
    check_size((stream.codec_context.width, stream.codec_context.height), max_pixels)
    frame = _first_bright(_key_frames(container, stream))
    turn = _TURNS.get(round(frame.rotation) % 360, 1)
    width = max(1, round(frame.width * float(stream.sample_aspect_ratio or 1)))
    check_size((frame.width, frame.height), max_pixels)
    check_size((width, frame.height), max_pixels)
    size = turned_size((width, frame.height), turn)
    return Deferred(size, "RGB", partial(_shown, frame, (width, frame.height), turn))


def _key_frames(container: Any, stream: Any) -> Iterator[Any]:
    stream.codec_context.skip_frame = "NONKEY"
    for n, frame in enumerate(container.decode(stream), 1):
        yield frame
        if n == MOST_FRAMES:
            return


def _first_bright(frames: Iterator[Any]) -> Any:
    frame = None
    for frame in frames:
        if not _is_black(frame):
            return frame
    if frame is None:
        raise ValueError("it has no picture that can be decoded")
    return frame


def _is_black(frame: Any) -> bool:
    grey = frame.reformat(width=64, height=64, format="gray").to_ndarray()
    return bool(np.mean(grey) < DARK and np.std(grey) < FLAT)


def _shown(frame: Any, size: tuple[int, int], turn: int) -> Image.Image:
    picture: Image.Image = frame.to_image()
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return turned(picture, turn)


FORMATS = (
    Format(
        "video",
        ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
        lambda data: _SIGNATURE.match(data) is not None,
        open_video,
        package="av",
        extra="video",
        is_apart=True,
        bytes_a_pixel=26.0,
    ),
)
