"""Views of an image: a part of it, mirrored, seen from the side, in another light, out of focus.

Every choice comes from a generator that is seeded by what the view is of: the same view is the same
pixels in every process, in any order. The transforms are torchvision's (v2) where it has them for
pictures, as functions: its random ones draw from a generator that the whole process shares.
"""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from spocdb.images.decode import upright
from spocdb.images.footprint import footprint
from spocdb.pipeline.budget import of_process
from spocdb.recipe_options import Background
from spocdb.records import UInt8Array
from spocdb.settings import Limits
from spocdb.sources.files import read

# A cut may be this much wider or higher than the image.
WIDEST = 4 / 3


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much views differ: `area` is the smallest part of the image, `colour` the largest change
    of brightness, contrast and saturation; the others are chances."""

    area: float = 0.35
    flip: float = 0.5
    colour: float = 0.2
    perspective: float = 0.0
    blur: float = 0.1


@contextmanager
def opened(path: Path, limits: Limits, background: Background = "white") -> Iterator[Image.Image]:
    """Read and decode a file, upright and RGB, for the block. Raises ImageError."""
    data = read(str(path), limits.max_bytes)
    with decoded(data, limits, background) as image:
        yield image


@contextmanager
def decoded(data: bytes, limits: Limits, background: Background = "white") -> Iterator[Image.Image]:
    """Decode an image for the block; wait while others take the memory. Raises ImageError."""
    with of_process(limits.memory).lent(footprint(data, None)):
        yield upright(data, limits.max_pixels, background)


def framed(image: Image.Image, how: Augmentation, rng: random.Random) -> Image.Image:
    """Choose the geometry of a view: a cut, perhaps mirrored, perhaps seen from the side."""
    view = image.crop(_cut(image.width, image.height, how.area, rng))
    if rng.random() < how.flip:
        view = functional.horizontal_flip(view)
    if rng.random() < how.perspective:
        view = _from_the_side(view, rng)
    return view


def lit(pixels: UInt8Array, how: Augmentation, rng: random.Random) -> UInt8Array:
    """Change the light of a view (H, W, 3), and perhaps its focus; once it has its final size."""
    view = Image.fromarray(pixels)
    for adjust in (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
    ):
        view = adjust(view, rng.uniform(1 - how.colour, 1 + how.colour))
    if rng.random() < how.blur:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return np.asarray(view)


def _cut(width: int, height: int, smallest: float, rng: random.Random) -> tuple[int, int, int, int]:
    area = rng.uniform(smallest, 1)
    stretch = math.exp(rng.uniform(-math.log(WIDEST), math.log(WIDEST)) / 2)
    w = min(width, max(1, round(width * math.sqrt(area) * stretch)))
    h = min(height, max(1, round(height * math.sqrt(area) / stretch)))
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    return left, top, left + w, top + h


def _from_the_side(view: Image.Image, rng: random.Random) -> Image.Image:
    """Move each corner inwards by up to an eighth of the side."""
    w, h = view.size
    corners = [[0, 0], [w, 0], [w, h], [0, h]]
    moved = [
        [
            x + round(rng.uniform(0, w / 8)) * (1 if x == 0 else -1),
            y + round(rng.uniform(0, h / 8)) * (1 if y == 0 else -1),
        ]
        for x, y in corners
    ]
    turned: Image.Image = functional.perspective(view, moved, corners, InterpolationMode.BILINEAR)
    return turned
