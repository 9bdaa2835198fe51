"""How much memory decoding an image takes at its peak, from its header alone.

The bytes a pixel were measured as the growth of a fresh process's peak memory while it decoded
pictures of 12 megapixels, rounded up; a test measures them again. They count everything at once:
what the library allocates, Pillow's own 4 bytes a pixel, and the copies that conversion to RGB and
turning upright make.
"""

from PIL import Image, ImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from spocdb.errors import ImageError
from spocdb.images.formats import open_header
from spocdb.images.geometry import fitted_size
from spocdb.recipe_options import Fit

# What the resized picture, buffers and tables take whatever the image's size.
FIXED = 8 * 2**20
# Measured: 5.8 for one channel and palettes; 8 for RGB and CMYK, of which half is what a TIFF of 16
# bits a sample takes on its way; 14.1 with an alpha channel; 11.5 for one channel of more than 8
# bits; 15.2 where a colour means transparent.
BYTES_A_PIXEL = {
    **dict.fromkeys(("1", "L", "P"), 6.0),
    **dict.fromkeys(("RGB", "YCbCr", "CMYK", "LAB", "HSV"), 9.0),
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La", "PA"), 14.0),
}
DEEP_BYTES_A_PIXEL = 12.0
TRANSPARENT_BYTES_A_PIXEL = 15.5
# Beyond that for its own canvases: measured 16.1 to 21.9 for WebP, 9.5 to 17 for AVIF.
OF_THE_FORMAT = {"WEBP": 9.0, "AVIF": 4.5}
OF_TURNING = 4.0
BYTES_A_COEFFICIENT = 2

# Pillow takes memory in blocks of 16 MB, which the C library keeps for the thread that freed them:
# 330 MB a thread after pictures of 80 megapixels. Blocks of 32 MB and more it gives back.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]


def footprint(data: bytes, size: int | None, fit: Fit = "warp") -> int:
    """Return the bytes that `decode` needs beside the file's own; 0 for what is no image.

    Without a size, those that `upright` needs.
    """
    try:
        image = open_header(data)
    except ImageError:
        return 0
    held = 0
    if isinstance(image, JpegImageFile):
        held = _coefficients(image, data)
        if size is not None:
            width, height = fitted_size(*image.size, size, fit)
            image.draft(None, (2 * width, 2 * height))
    return FIXED + held + round(image.width * image.height * _bytes_a_pixel(image))


def _bytes_a_pixel(image: ImageFile.ImageFile) -> float:
    plain = BYTES_A_PIXEL.get(image.mode, DEEP_BYTES_A_PIXEL)
    if image.has_transparency_data:
        plain = max(plain, TRANSPARENT_BYTES_A_PIXEL)
    turning = OF_TURNING if _may_be_turned(image) else 0.0
    return plain + OF_THE_FORMAT.get(image.format or "", 0.0) + turning


def _may_be_turned(image: ImageFile.ImageFile) -> bool:
    # Parsing EXIF would take as long as all the rest here.
    return "exif" in image.info or (
        isinstance(image, TiffImageFile) and image.tag_v2.get(Base.Orientation, 1) != 1
    )


def _coefficients(image: JpegImageFile, data: bytes) -> int:
    """Return the bytes of the cosines that a JPEG in several scans is collected in, whole.

    A plain one is decoded row by row. The scaling while decoding does not shrink them.
    """
    # Pillow stops reading behind the first scan's marker; a length and a count follow.
    at = image.fp.tell() if image.fp else 0
    n_in_first_scan = data[at + 2] if at + 2 < len(data) else 0
    # Hostile ones say 0.
    layers = [(c, max(h, 1), max(v, 1), q) for c, h, v, q in image.layer]
    if n_in_first_scan >= len(layers) and not image.info.get("progressive"):
        return 0
    samples = sum(h * v for _, h, v, _ in layers) / max((h * v for _, h, v, _ in layers), default=1)
    return round(image.width * image.height * samples * BYTES_A_COEFFICIENT)
