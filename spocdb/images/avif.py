"""AVIF: its boxes decide the crop and the orientation; EXIF and XMP are ignored for that."""

import io
from typing import Any

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base

from spocdb.images.boxes import Picture, exif, without_metadata


class AvifFile(AvifImageFile):
    """An opened AVIF. `size` is the size after cropping, `turn` the EXIF orientation (1 to 8)."""

    def __init__(self, data: bytes, found: Picture) -> None:
        super().__init__(io.BytesIO(without_metadata(data)))
        self._whole = self._size
        # A sequence has its own size and crop, so the still picture's boxes do not apply to it.
        self._crop_box = found.crop if found.size == self._whole and not self.is_animated else None
        if self._crop_box:
            left, top, right, bottom = self._crop_box
            self._size = (right - left, bottom - top)
        self.turn = self._told_turn()
        if block := exif(data):
            self.info["exif"] = block

    def load(self) -> Any:
        """Decode and crop the pixels."""
        if not self.tile or not self._crop_box:
            return super().load()
        cropped, self._size = self._size, self._whole
        super().load()
        # Image.crop would check Pillow's process-wide limit.
        self.im = self.im.crop(self._crop_box)
        self._size = cropped
        return super().load()

    def _told_turn(self) -> int:
        # The file's own EXIF is hidden from Pillow: this EXIF holds the orientation of the boxes.
        told = Image.Exif()
        told.load(self.info.pop("exif", b""))
        return int(told.get(Base.Orientation, 1))
