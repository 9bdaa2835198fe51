"""The first page of a PDF, using pypdfium2 (PDFium) if it is installed."""

import re
from functools import partial
from math import ceil
from typing import Any

from PIL import Image, ImageFile

from spocdb.images.declarations import Deferred, Format

# The longer side of a rendered page, in pixels.
LONGEST = 2048
_SIGNATURE = re.compile(rb"(\xef\xbb\xbf)?\s{0,16}%PDF-")


def open_pdf(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open a PDF; its first page is rendered on white."""
    import pypdfium2

    page = pypdfium2.PdfDocument(data)[0]
    width, height = page.get_size()
    if not (min(width, height) > 0 and max(width, height) < float("inf")):
        raise ValueError("its first page has no size")
    scale = LONGEST / max(width, height)
    size = ceil(width * scale), ceil(height * scale)  # as PDFium rounds
    return Deferred(size, "RGB", partial(_rendered, page, scale))


def _rendered(page: Any, scale: float) -> Image.Image:
    image: Image.Image = page.render(scale=scale).to_pil()
    return image.convert("RGB")


FORMATS = (
    Format(
        "PDF",
        ".pdf",
        lambda data: _SIGNATURE.match(data) is not None,
        open_pdf,
        package="pypdfium2",
        extra="pdf",
        is_apart=True,
        bytes_a_pixel=18.0,
    ),
)
