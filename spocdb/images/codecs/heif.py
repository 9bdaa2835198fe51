"""HEIC and HEIF, using pillow-heif if it is installed."""

import io

from PIL import ImageFile

from spocdb.images import boxes
from spocdb.images.boxes import exif, without_metadata
from spocdb.images.declarations import Format, check_size


def open_heif(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a HEIC or HEIF image. The decoder applies the crop and orientation of its boxes."""
    from pillow_heif import HeifImageFile

    check_size(boxes.picture(data).size or (0, 0), max_pixels)
    image: ImageFile.ImageFile = HeifImageFile(  # type: ignore[no-untyped-call]
        io.BytesIO(without_metadata(data))
    )
    image.info.pop("exif", None)
    if block := exif(data):
        image.info["exif"] = block
    image.turn = 1  # type: ignore[attr-defined]
    return image


FORMATS = (
    Format(
        "HEIC",
        ".heic .heif .hif",
        lambda data: boxes.is_picture(data) and not boxes.is_avif(boxes.picture(data)),
        open_heif,
        package="pillow_heif",
        extra="heif",
    ),
)
