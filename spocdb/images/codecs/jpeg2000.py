"""JPEG 2000, using OpenJPEG in Pillow, whose own reader leaves out colour profiles."""

import re
import struct
from typing import Any

import numpy as np
from PIL import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from spocdb.images.boxes import Box, each_inside, inside
from spocdb.images.deadline import TimedBytes
from spocdb.images.declarations import Format
from spocdb.images.wide import to_grey

_SIGNATURE = re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")
# The method of a colour box that holds an ICC profile; it follows three bytes.
RESTRICTED, ANY_ICC = 2, 3


class Jpeg2000File(Jpeg2KImageFile):
    """An opened JPEG 2000. Grey of more than eight bits becomes L on loading."""

    def load(self) -> Any:
        """Decode the pixels."""
        if not self.tile:
            return super().load()
        loaded = super().load()
        if self.mode.startswith("I;16"):
            # Pillow scales all samples of more than eight bits to sixteen.
            self.im, self._mode = to_grey(np.asarray(self), 65535.0).im, "L"
            return super().load()
        return loaded


def open_jpeg2000(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a JP2 file or a bare codestream."""
    image = Jpeg2000File(TimedBytes(data))
    if profile := _profile(data):
        image.info["icc_profile"] = profile
    return image


def _profile(data: bytes) -> bytes | None:
    """Return the profile of a JP2's colour box, or None."""
    try:
        header = inside(data, Box(b"", 0, len(data)), b"jp2h")
        for box in each_inside(data, header, b"colr"):
            if data[box.begin] in (RESTRICTED, ANY_ICC):
                return data[box.begin + 3 : box.end]
    except (KeyError, IndexError, struct.error):
        pass
    return None


FORMATS = (
    Format(
        "JPEG 2000",
        ".jp2 .j2k .j2c .jpf .jpx .jpc",
        lambda data: _SIGNATURE.match(data) is not None,
        open_jpeg2000,
        is_apart=True,
        bytes_a_pixel=20.0,
    ),
)
