"""Embedded colour profiles (ICC) -> transforms to sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

Transform = Callable[[Image.Image], Image.Image]

# Real CMYK profiles take up to 3 MB.
LARGEST_PROFILE = 4 * 2**20
# The mark of ICC version 4's multiProcessElement, which cameras do not write. A small hostile
# profile could use it to make each colour take any number of steps.
ANY_NUMBER_OF_STEPS = b"mpet"
# Other makers' sRGB profiles differ by rounding, by at most two of 256 levels.
SAME_COLOUR = 2
# Input, display, output and colour space profiles, which define the colours of pixels.
_CLASSES = ("scnr", "mntr", "prtr", "spac")
_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def to_srgb(profile: object, mode: str) -> Transform | None:
    """Return the transform of a mode (RGB, RGBA, L, CMYK) from a profile to sRGB.

    None if there is no profile, or if it is sRGB, broken, of another kind or for another mode. The
    transform's result has the mode RGB, or RGBA for RGBA.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= LARGEST_PROFILE:
        return None
    if ANY_NUMBER_OF_STEPS in profile:
        return None
    return _to_srgb(profile, mode)


def from_lab(image: Image.Image) -> Image.Image:
    """Convert a LAB image to RGB. LAB is independent of devices and needs no profile."""
    return _applied(_lab_transform(), image)


# Cached: building a transform takes longer than applying it, and many images share a profile.
@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> Transform | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.device_class not in _CLASSES:
            return None
        if opened.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        output = "RGBA" if mode == "RGBA" else "RGB"
        made = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, output)
        return None if _changes_nothing(made, mode) else lambda image: _applied(made, image)
    # A damaged profile is ignored; the image is still usable.
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform leaves a grid of sample colours almost unchanged."""
    if mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 256 if mode == "L" else 9).astype(np.uint8)
    if mode == "L":
        colours = levels[None]
    else:
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    before = Image.fromarray(colours).convert(mode)
    after = _applied(transform, before).convert("RGB")
    difference = np.asarray(before.convert("RGB")).astype(int) - np.asarray(after)
    return bool(np.abs(difference).max() <= SAME_COLOUR)


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only for in-place conversion
    return converted
