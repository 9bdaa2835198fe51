"""Any of Pillow's modes -> sRGB, 8 bits a channel."""

from PIL import Image

from spocdb.images.profiles import Transform, from_lab, to_srgb
from spocdb.recipe_options import Background

_WITH_GREY_ALPHA = ("LA", "La")


def to_rgb(
    image: Image.Image, background: Background = "white"
) -> tuple[Image.Image, Transform | None]:
    """Convert a loaded image to RGB, with transparency flattened on a background.

    If an embedded profile has to be applied, returns the pixels in their own mode and the transform
    to sRGB. A transform takes longer than decoding, so the caller applies it after resizing.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return from_lab(image), None
    if image.has_transparency_data:
        return _flattened(image, profile, background), None
    if image.mode in ("L", "CMYK"):
        transform = to_srgb(profile, image.mode)
        return (image, transform) if transform else (image.convert("RGB"), None)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return rgb, to_srgb(profile, "RGB")


def finished(image: Image.Image, transform: Transform | None) -> Image.Image:
    """Apply the transform that `to_rgb` returned, if any."""
    return transform(image) if transform else image


def _flattened(image: Image.Image, profile: object, background: Background) -> Image.Image:
    if image.mode in _WITH_GREY_ALPHA:
        overlay = _grey_overlay(image, profile)
    else:
        overlay = image.convert("RGBA")
        overlay = finished(overlay, to_srgb(profile, "RGBA"))
    flat = Image.new("RGB", image.size, background)
    flat.paste(overlay, mask=overlay.getchannel("A"))
    return flat


def _grey_overlay(image: Image.Image, profile: object) -> Image.Image:
    image = image.convert("LA")
    rgb = finished(image.getchannel("L"), to_srgb(profile, "L")).convert("RGB")
    rgb.putalpha(image.getchannel("A"))
    return rgb
