"""Embedded colour profiles (ICC): what converts an image's pixels to sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

Transform = Callable[[Image.Image], Image.Image]

# Profiles of real inks take up to 3 MB.
LARGEST_PROFILE = 4 * 2**20
# Of an element of the fourth version that no camera writes: a small profile could make each colour
# take any number of steps.
ANY_NUMBER_OF_STEPS = b"mpet"
# Profiles that are sRGB by another maker's rounding come within two of 256 levels of it.
SAME_COLOUR = 2
# Input, display, output and colour space profiles: those that say what pixels look like.
_CLASSES = ("scnr", "mntr", "prtr", "spac")
_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def to_srgb(profile: object, mode: str) -> Transform | None:
    """Return what converts pixels of a mode (RGB, RGBA, L, CMYK) from a profile to sRGB.

    None where there is nothing to convert: no profile, one that is sRGB itself, one that is broken,
    of another kind, or for another mode. The result has the mode RGB, for RGBA it is RGBA.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= LARGEST_PROFILE:
        return None
    if ANY_NUMBER_OF_STEPS in profile:
        return None
    return _to_srgb(profile, mode)


def from_lab(image: Image.Image) -> Image.Image:
    """Convert a LAB image to RGB: it names colours itself and needs no profile."""
    return _applied(_lab_transform(), image)


# Making a transform takes longer than applying it, and cameras of one maker share a profile.
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
    # Whatever a damaged profile leads the library to is no reason to lose the image.
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell by a few colours of each kind whether pixels stay what they are."""
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
