"""TIFF: corrects how Pillow reads some files, and refuses those that it would read wrongly.

tests/unit/test_tiff.py compares all combinations of samples, byte order, planes and compression
with tifffile.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageFile, TiffTags
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    TILELENGTH,
    TILEWIDTH,
    YCBCRSUBSAMPLING,
    TiffImageFile,
)

from spocdb.images.deadline import TimedBytes
from spocdb.images.tags import without_broken_tags
from spocdb.images.wide import to_grey

WHITE_IS_ZERO, YCBCR, LAB = 0, 6, 8
SIGNED = 2
UNCOMPRESSED, SEPARATE, PREMULTIPLIED = 1, 2, 1
INK_SET, CMYK = 332, 1
BIG_ENDIAN_BIGTIFF = b"MM\0+"
_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_SAMPLES = {1: "unsigned", 2: "signed", 3: "floating point"}
# Modes whose samples libtiff may return in separate planes.
_PLANAR = ("RGB", "RGBA", "CMYK")
# libtiff returns samples in the machine's byte order, but Pillow reads these in the file's order.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


class TiffFile(TiffImageFile):
    """An opened TIFF. Grey of more than eight bits becomes L on loading.

    Raises:
        SyntaxError: Pillow cannot read the file, or would read it wrongly.
    """

    def __init__(self, data: bytes) -> None:
        if data.startswith(BIG_ENDIAN_BIGTIFF):
            raise SyntaxError("a big-endian BigTIFF: save it as a plain TIFF")
        try:
            super().__init__(TimedBytes(without_broken_tags(data)))
        except SyntaxError as error:
            raise SyntaxError(self._explained(error)) from error
        if refused := self._refusal():
            raise SyntaxError(f"{refused} ({self._description()}): save it as a plainer TIFF")
        self._set_decoder()

    @property
    def tile_size(self) -> tuple[int, int]:
        """Return the size of a tile, which is allocated as a whole; (0, 0) without tiles."""
        width, length = self.tag_v2.get(TILEWIDTH, 0), self.tag_v2.get(TILELENGTH, 0)
        return (width, length) if isinstance(width, int) and isinstance(length, int) else (0, 0)

    def load(self) -> Any:
        """Decode the pixels."""
        if not self.tile:
            return super().load()
        # Allocate the image here, because Pillow would check its process-wide limit again.
        self.im = Image.new(self.mode, self._tile_size).im
        super().load()
        if self.mode.startswith(("I", "F")) or (self.mode == "L" and self._is_signed()):
            self._become_grey()
        return super().load()

    def _become_grey(self) -> None:
        values, white = np.asarray(self), None
        if self.mode.startswith("I;16"):
            white = 2 ** self._tag(BITSPERSAMPLE, 16) - 1
        elif self.mode == "L":
            values = values.view(np.int8)
        elif self.mode == "I" and not self._is_signed():
            values = values.view(np.uint32)
        inverted = self._tag(PHOTOMETRIC_INTERPRETATION, 1) == WHITE_IS_ZERO
        grey = to_grey(values, white, inverted=inverted)
        self.im, self._mode = grey.im, "L"

    def _tag(self, tag: int, default: int) -> int:
        value = self.tag_v2.get(tag, default)
        value = value[0] if isinstance(value, tuple) and value else value
        return value if isinstance(value, int) else default

    def _is_signed(self) -> bool:
        return self._tag(SAMPLEFORMAT, 1) == SIGNED

    def _is_planar(self) -> bool:
        return self._tag(PLANAR_CONFIGURATION, 1) == SEPARATE and self._n_samples() > 1

    def _n_samples(self) -> int:
        return self._tag(SAMPLESPERPIXEL, 1)

    def _refusal(self) -> str | None:
        """Return why Pillow would read wrong pixels, or None."""
        bits, colours = self._tag(BITSPERSAMPLE, 1), self._tag(PHOTOMETRIC_INTERPRETATION, 0)
        is_plain = self._tag(COMPRESSION, 1) == UNCOMPRESSED
        if self._is_planar() and (self.mode in ("LA", "La", "PA") or colours in (YCBCR, LAB)):
            return "separate planes of these samples are not supported"
        if self._is_planar() and is_plain and bits > 8 and self.mode not in _PLANAR:
            return "separate planes without compression of these samples are not supported"
        if colours == YCBCR and is_plain and self.tag_v2.get(YCBCRSUBSAMPLING, (2, 2)) != (1, 1):
            return "subsampled colours without compression are not supported"
        if self.mode == "CMYK" and self._tag(INK_SET, CMYK) != CMYK:
            return "inks other than CMYK are not supported"
        if bits == 12 and is_plain and self._has_longer_rows(bits):
            return "samples of 12 bits that are not packed are not supported"
        return None

    def _has_longer_rows(self, bits: int) -> bool:
        width, height = self._tile_size
        packed = (width * self._n_samples() * bits + 7) // 8 * height
        return sum(self.tag_v2.get(STRIPBYTECOUNTS, (packed,))) != packed

    def _set_decoder(self) -> None:
        """Correct the sample formats with which Pillow would read some files."""
        if self._is_planar() and not self.use_load_libtiff and self.mode in _PLANAR:
            # Use libtiff: Pillow's own loader reads 16-bit planes as 8-bit ones.
            premultiplied = self.tag_v2.get(EXTRASAMPLES) == (PREMULTIPLIED,)
            samples = "RGBa" if premultiplied else self.mode
            samples += ";16N" if self._tag(BITSPERSAMPLE, 1) == 16 else ""
            arguments = (samples, False, self.tag_v2.offset)
            self.use_load_libtiff = True
            self.tile = [ImageFile._Tile("libtiff", (0, 0, *self._tile_size), 0, arguments)]
        elif self.use_load_libtiff:
            self.tile = [_native(tile) for tile in self.tile]

    def _explained(self, error: SyntaxError) -> str:
        """Return a readable reason; Pillow's own text may be only a tag's number."""
        cause = error.args[0] if error.args else None
        tags = getattr(self, "tag_v2", {})
        if isinstance(cause, KeyError) and cause.args[0] == tags.get(COMPRESSION):
            return f"compression {cause.args[0]} is not supported"
        if isinstance(cause, KeyError) and isinstance(cause.args[0], int):
            return f"the tag {TiffTags.lookup(cause.args[0]).name} is missing"
        if tags and (str(error) == "unknown pixel mode" or isinstance(cause, IndexError)):
            return f"{self._description()} is not supported: save it as a plainer TIFF"
        return str(error)

    def _description(self) -> str:
        """Name the samples, as in "4 x 16-bit unsigned RGB in separate planes"."""
        bits = self.tag_v2.get(BITSPERSAMPLE, (1,))
        colours = self._tag(PHOTOMETRIC_INTERPRETATION, WHITE_IS_ZERO)
        samples = _SAMPLES.get(self._tag(SAMPLEFORMAT, 1), "unknown")
        name = _COLOURS.get(colours, f"photometric {colours}")
        white = ", white is zero" if colours == WHITE_IS_ZERO else ""
        planes = " in separate planes" if self._is_planar() else ""
        order = ", big-endian" if self.tag_v2.prefix == b"MM" else ""
        return f"{self._n_samples()} x {bits[0]}-bit {samples} {name}{planes}{white}{order}"


def _native(tile: ImageFile._Tile) -> ImageFile._Tile:
    samples, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    return tile._replace(args=(_NATIVE.get(samples, samples), *rest))
