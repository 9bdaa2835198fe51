"""AVIF: cropped and turned as its boxes say, whatever EXIF or XMP say beside them."""

import io
from typing import Any

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base

from spocdb.images.boxes import Picture, exif, without_metadata


class AvifFile(AvifImageFile):
    """An AVIF, opened. `size` is the cropped one, `turn` says how it must be turned (1 to 8)."""

    def __init__(self, data: bytes, found: Picture) -> None:
        super().__init__(io.BytesIO(without_metadata(data)))
        self._whole = self._size
        # A sequence has its own size and crop, which the boxes of the still picture do not say.
        self._crop_box = found.crop if found.size == self._whole and not self.is_animated else None
        if self._crop_box:
            left, top, right, bottom = self._crop_box
            self._size = (right - left, bottom - top)
        self.turn = self._told_turn()
        if block := exif(data):
            self.info["exif"] = block

    def load(self) -> Any:
        """Decode the pixels, and crop them."""
        if not self.tile or not self._crop_box:
            return super().load()
        cropped, self._size = self._size, self._whole
        super().load()
        # Not Image.crop, which checks Pillow's process-wide limit.
        self.im = self.im.crop(self._crop_box)
        self._size = cropped
        return super().load()

    def _told_turn(self) -> int:
        # Pillow tells the turn of the boxes as EXIF; the file's own EXIF is hidden from it.
        told = Image.Exif()
        told.load(self.info.pop("exif", b""))
        return int(told.get(Base.Orientation, 1))
