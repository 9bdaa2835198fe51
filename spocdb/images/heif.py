"""HEIC and HEIF, using pillow-heif if it is installed."""

import io

from PIL import ImageFile

from spocdb.errors import UnreadableImage
from spocdb.images.boxes import exif, without_metadata

INSTALL = "pip install 'spocdb[heif]'"


def open_heif(data: bytes) -> ImageFile.ImageFile:
    """Open a HEIC or HEIF image. The decoder applies the crop and orientation of its boxes.

    Raises:
        UnreadableImage: pillow-heif is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise UnreadableImage(f"a HEIC or HEIF image, which needs `{INSTALL}`") from error
    image: ImageFile.ImageFile = HeifImageFile(  # type: ignore[no-untyped-call]
        io.BytesIO(without_metadata(data))
    )
    image.info.pop("exif", None)
    if block := exif(data):
        image.info["exif"] = block
    return image
