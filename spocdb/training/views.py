"""Views of an image (augmentation): crop, mirroring, tilt, colour, blur, captions, compression.

Each view has its own seeded random generator, so that a view has the same pixels in every process
and in any order. Uses torchvision's functional transforms (v2): its random transforms share one
generator per process.
"""

import io
import math
import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from spocdb.errors import UnknownChoice
from spocdb.images.decode import upright
from spocdb.images.footprint import footprint
from spocdb.pipeline.budget import of_process
from spocdb.recipe_options import Background
from spocdb.records import UInt8Array
from spocdb.settings import Limits
from spocdb.sources.files import read

# Limit on the ratio between a crop's aspect and the image's.
WIDEST = 4 / 3
# The largest tilt, in degrees.
STEEPEST = 20.0
# The share of a side that an overlay takes, and the qualities of JPEG.
OVERLAY, QUALITY = (0.15, 0.5), (15, 70)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strength of the augmentation.

    `area` is the smallest part of the image, `colour` the largest relative change of brightness,
    contrast and saturation. The others are probabilities.
    """

    area: float = 0.35
    flip: float = 0.5
    colour: float = 0.2
    perspective: float = 0.0
    blur: float = 0.1
    tilt: float = 0.0
    grey: float = 0.0
    overlay: float = 0.0
    jpeg: float = 0.0


MILD = Augmentation()
# What people do to a copy: cut, mirror, tilt, write on it, compress it.
STRONG = Augmentation(
    area=0.2,
    colour=0.4,
    perspective=0.2,
    blur=0.3,
    tilt=0.3,
    grey=0.1,
    overlay=0.3,
    jpeg=0.5,
)
AUGMENTATIONS = {"mild": MILD, "strong": STRONG}


def find_augmentation(name: str) -> Augmentation:
    """Return an augmentation by its name.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in AUGMENTATIONS:
        raise UnknownChoice("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]


@contextmanager
def opened(path: Path, limits: Limits, background: Background = "white") -> Iterator[Image.Image]:
    """Read and decode a file, upright and RGB, for the block.

    Raises:
        ImageError: The file cannot be read or decoded.
    """
    data = read(str(path), limits.max_bytes)
    with decoded(data, limits, background) as image:
        yield image


@contextmanager
def decoded(data: bytes, limits: Limits, background: Background = "white") -> Iterator[Image.Image]:
    """Decode an image for the block, within the process's memory budget.

    Waits while other threads use the budget.

    Raises:
        ImageError: The data cannot be decoded.
    """
    with of_process(limits.memory).lent(footprint(data, None)):
        yield upright(data, limits.max_pixels, background)


def framed(image: Image.Image, how: Augmentation, rng: random.Random) -> Image.Image:
    """Apply a random crop, mirroring, perspective and tilt to an image."""
    view = image.crop(_cut(image.width, image.height, how.area, rng))
    if rng.random() < how.flip:
        view = functional.horizontal_flip(view)
    if rng.random() < how.perspective:
        view = _from_the_side(view, rng)
    if _happens(how.tilt, rng):
        view = view.rotate(rng.uniform(-STEEPEST, STEEPEST), Image.Resampling.BILINEAR)
    return view


def lit(pixels: UInt8Array, how: Augmentation, rng: random.Random) -> UInt8Array:
    """Change a view (H, W, 3) of final size at random, without moving what it shows.

    The colours change always; blur, grey, an overlay and compression are as likely as `how` says.
    """
    view = Image.fromarray(pixels)
    for adjust in (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
    ):
        view = adjust(view, rng.uniform(1 - how.colour, 1 + how.colour))
    if rng.random() < how.blur:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if _happens(how.grey, rng):
        view = view.convert("L").convert("RGB")
    if _happens(how.overlay, rng):
        view = _overlaid(view, rng)
    if _happens(how.jpeg, rng):
        view = _compressed(view, rng.randint(*QUALITY))
    return np.asarray(view)


def _happens(probability: float, rng: random.Random) -> bool:
    # Takes no random number for a probability of 0: a change that is off leaves the views as they
    # would be without it, and figures measured on them comparable.
    return probability > 0 and rng.random() < probability


def _overlaid(view: Image.Image, rng: random.Random) -> Image.Image:
    """Cover a part of a view by a plain rectangle or by a line of text."""
    view = view.copy()
    pen = ImageDraw.Draw(view)
    w, h = (max(1, round(side * rng.uniform(*OVERLAY))) for side in view.size)
    left, top = rng.randint(0, view.width - w), rng.randint(0, view.height - h)
    colour = rng.randrange(256), rng.randrange(256), rng.randrange(256)
    if rng.random() < 0.5:
        pen.rectangle((left, top, left + w, top + h), fill=colour)
        return view
    text = "".join(rng.choices(string.ascii_letters + " ", k=rng.randint(4, 20)))
    pen.text((left, top), text, fill=colour, font=ImageFont.load_default(max(4.0, h / 2)))
    return view


def _compressed(view: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    view.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as opened:
        return opened.convert("RGB")


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
