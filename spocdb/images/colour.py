"""Any of Pillow's modes -> RGB, 8 bits a channel."""

import io

import numpy as np
from PIL import Image, ImageCms

from spocdb.records import Float32Array

BITS_PER_SAMPLE = 258


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of any mode to RGB, transparency flattened on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(image).convert("RGB")
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode == "LAB":
        return _from_lab(image)
    return _flatten(image) if image.has_transparency_data else image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    # Pillow's own conversion of these modes clips at 255.
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    black, white = _range(image, values)
    scale = 255 / ((white - black) or 1)
    scaled = values * scale - black * scale
    return Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))


def _range(image: Image.Image, values: Float32Array) -> tuple[float, float]:
    """Return black and white: of the sample format where it is known, else as the values show."""
    if image.mode.startswith("I;16"):
        return 0, 2 ** _bits(image) - 1
    low, high = float(values.min()), float(values.max())
    for white in (1, 255, 65535) if image.mode == "F" else (255, 65535):
        if low >= 0 and high <= white:
            return 0, white
    return low, high


def _bits(image: Image.Image) -> int:
    # Twelve-bit TIFFs come in the same mode as sixteen-bit ones.
    return int(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0])


def _from_cmyk(image: Image.Image) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return _to_srgb(image, profile)
    except (KeyError, OSError, ImageCms.PyCMSError):
        # No profile, or a broken one: the plain formula is near enough.
        return image.convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    # Lab names colours, not inks: it needs no profile of the file's own.
    return _to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # None only for in-place conversion
    return converted


def _flatten(image: Image.Image) -> Image.Image:
    overlay = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(overlay, mask=overlay.getchannel("A"))
    return white
