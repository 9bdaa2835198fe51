"""The peak memory that decoding an image takes, estimated from its header alone.

The bytes per pixel were measured as the growth of a fresh process's peak memory while it decoded
pictures of 12 megapixels, and rounded up; a test measures them again. They include the memory of
the library, Pillow's own 4 bytes a pixel, and the copies for conversion to RGB and orientation.
"""

from PIL import Image, ImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from spocdb.errors import ImageError
from spocdb.images.formats import FORMATS, open_header
from spocdb.images.geometry import fitted_size
from spocdb.recipe_options import Fit

# The resized picture, buffers and tables, independent of the image's size.
FIXED = 8 * 2**20
# Measured: 5.8 for one channel and palettes; 8 for RGB and CMYK, half of it for a TIFF's samples of
# 16 bits; 14.1 with an alpha channel; 11.5 for one channel of more than 8 bits; 15.2 with a
# transparent colour.
BYTES_A_PIXEL = {
    **dict.fromkeys(("1", "L", "P"), 6.0),
    **dict.fromkeys(("RGB", "YCbCr", "CMYK", "LAB", "HSV"), 9.0),
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La", "PA"), 14.0),
}
DEEP_BYTES_A_PIXEL = 12.0
TRANSPARENT_BYTES_A_PIXEL = 15.5
# A format's own canvases are declared with it; measured in all: 16.1 to 21.9 for WebP, 9.5 to 17
# for AVIF. For formats that are opened in a separate process, it is the memory of that process:
# measured 19.3 for JPEG 2000, 11.6 for JPEG XL, 37.5 for a raw that is developed, 16.1 for a PDF,
# 24.4 for a video.
OF_THE_FORMAT = {format.name: format.bytes_a_pixel for format in FORMATS}
OF_TURNING = 4.0
BYTES_A_COEFFICIENT = 2

# The C library keeps Pillow's default blocks of 16 MB after a thread frees them: 330 MB a thread
# after pictures of 80 megapixels. It returns blocks of 32 MB and more to the system.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]


def footprint(data: bytes, size: int | None, fit: Fit = "warp") -> int:
    """Return the bytes that `decode` needs in addition to the file; 0 if the data are no image.

    If `size` is None, the bytes that `upright` needs.
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
    # Only the presence of EXIF is checked: parsing it would double the time of `footprint`.
    return "exif" in image.info or (
        isinstance(image, TiffImageFile) and image.tag_v2.get(Base.Orientation, 1) != 1
    )


def _coefficients(image: JpegImageFile, data: bytes) -> int:
    """Return the bytes of the coefficients that a JPEG of several scans holds in memory.

    0 for a JPEG of one scan, which is decoded row by row. DCT scaling does not reduce them.
    """
    # Pillow's position is after the first scan's marker; a length and a component count follow.
    at = image.fp.tell() if image.fp else 0
    n_in_first_scan = data[at + 2] if at + 2 < len(data) else 0
    # Hostile files have sampling factors of 0.
    layers = [(c, max(h, 1), max(v, 1), q) for c, h, v, q in image.layer]
    if n_in_first_scan >= len(layers) and not image.info.get("progressive"):
        return 0
    samples = sum(h * v for _, h, v, _ in layers) / max((h * v for _, h, v, _ in layers), default=1)
    return round(image.width * image.height * samples * BYTES_A_COEFFICIENT)
