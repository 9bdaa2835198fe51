"""Variants: a picture as people copy it, as the bytes of files.

Each variant has its own seeded random generator, so that it has the same pixels in every process.
"""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance

from spocdb.records import Level

# Larger pictures are made smaller first: sixteen files are made of each.
LONGEST = 1024
QUALITY = 92
# The least side of a picture that was made smaller.
SHORTEST = 16

Change = Callable[[Image.Image, random.Random], Image.Image]


@dataclass(frozen=True, slots=True)
class Variant:
    """A kind of copies; `level` is what it has in common with the picture."""

    name: str
    level: Level
    change: Change
    quality: int = QUALITY

    def made(self, picture: Image.Image, seed: str) -> bytes:
        """Return the variant of an upright RGB picture as a JPEG file."""
        changed = self.change(picture, random.Random(f"{seed} {self.name}"))
        stream = io.BytesIO()
        changed.save(stream, "JPEG", quality=self.quality)
        return stream.getvalue()


def bounded(picture: Image.Image) -> Image.Image:
    """Return a picture whose longer side has at most LONGEST pixels."""
    longer = max(picture.size)
    return picture if longer <= LONGEST else _scaled(picture, LONGEST / longer)


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    width, height = (max(SHORTEST, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _unchanged(picture: Image.Image, rng: random.Random) -> Image.Image:
    return picture


def _resized(factor: float) -> Change:
    return lambda picture, rng: _scaled(picture, factor)


def _cropped(area: float) -> Change:
    def change(picture: Image.Image, rng: random.Random) -> Image.Image:
        width, height = (max(1, round(side * area**0.5)) for side in picture.size)
        left = rng.randint(0, picture.width - width)
        top = rng.randint(0, picture.height - height)
        return picture.crop((left, top, left + width, top + height))

    return change


def _brightened(factor: float) -> Change:
    return lambda picture, rng: ImageEnhance.Brightness(picture).enhance(factor)


def _contrasted(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(1.4)


def _grey(picture: Image.Image, rng: random.Random) -> Image.Image:
    return picture.convert("L").convert("RGB")


def _overlaid(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Cover a twentieth of the picture by a plain bar, as a caption does."""
    picture = picture.copy()
    width, height = (
        max(1, round(side * part)) for side, part in zip(picture.size, (0.5, 0.1), strict=True)
    )
    left = rng.randint(0, picture.width - width)
    top = rng.randint(0, picture.height - height)
    colour = rng.choice(("white", "black", "yellow"))
    ImageDraw.Draw(picture).rectangle((left, top, left + width, top + height), fill=colour)
    return picture


def _mirrored(picture: Image.Image, rng: random.Random) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _rotated(picture: Image.Image, rng: random.Random) -> Image.Image:
    angle = rng.choice((-5, 5))
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


VARIANTS = (
    Variant("jpeg 15", "picture", _unchanged, 15),
    Variant("jpeg 40", "picture", _unchanged, 40),
    Variant("jpeg 75", "picture", _unchanged, 75),
    Variant("half size", "picture", _resized(0.5)),
    Variant("quarter size", "picture", _resized(0.25)),
    Variant("double size", "picture", _resized(2)),
    Variant("crop to 90 %", "picture", _cropped(0.9)),
    Variant("crop to 80 %", "picture", _cropped(0.8)),
    Variant("brighter", "picture", _brightened(1.3)),
    Variant("darker", "picture", _brightened(0.7)),
    Variant("contrast", "picture", _contrasted),
    Variant("grey", "picture", _grey),
    Variant("overlay", "picture", _overlaid),
    Variant("crop to 50 %", "scene", _cropped(0.5)),
    Variant("mirrored", "scene", _mirrored),
    Variant("rotated 5°", "scene", _rotated),
)
