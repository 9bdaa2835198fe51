"""Changed copies of a picture, as JPEG files; the same in every run for the same seed.

SAME are changes after which a picture is still the same picture, STRONGER are other ones. A crop
to 80 % keeps 80 % of the area.
"""

import io
import random
from collections.abc import Callable, Mapping
from functools import partial

from PIL import Image, ImageDraw, ImageEnhance

Picture = Image.Image
Change = Callable[[Picture, random.Random], bytes]

# Of files whose compression is not what is measured.
QUALITY = 92
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def _jpeg(image: Picture, quality: int = QUALITY) -> bytes:
    out = io.BytesIO()
    image.save(out, "jpeg", quality=quality)
    return out.getvalue()


def _saved(image: Picture, _: random.Random, *, quality: int) -> bytes:
    return _jpeg(image, quality)


def _resized(image: Picture, _: random.Random, *, factor: float) -> bytes:
    size = [max(round(side * factor), 1) for side in image.size]
    return _jpeg(image.resize((size[0], size[1]), Image.Resampling.LANCZOS))


def _cropped(image: Picture, rng: random.Random, *, area: float) -> bytes:
    return _jpeg(_crop(image, rng, area))


def _crop(image: Picture, rng: random.Random, area: float) -> Picture:
    """Return a part of a picture with its proportions, at a random place."""
    width, height = (max(round(side * area**0.5), 1) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _enhanced(
    image: Picture,
    _: random.Random,
    *,
    by: type[ImageEnhance.Brightness | ImageEnhance.Contrast],
    factor: float,
) -> bytes:
    return _jpeg(by(image).enhance(factor))


def _marked(image: Picture, _: random.Random) -> bytes:
    """Put a line of text in a white box over 5.5 % of the picture, near its lower left corner."""
    marked, (width, height) = image.copy(), image.size
    draw = ImageDraw.Draw(marked)
    draw.rectangle((0.05 * width, 0.85 * height, 0.6 * width, 0.95 * height), fill=WHITE)
    draw.text((0.07 * width, 0.87 * height), "SAMPLE", fill=BLACK)
    return _jpeg(marked)


def _mirrored(image: Picture, _: random.Random) -> bytes:
    return _jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def _grey(image: Picture, _: random.Random) -> bytes:
    return _jpeg(image.convert("L").convert("RGB"))


def _rotated(image: Picture, rng: random.Random, *, is_cropped: bool) -> bytes:
    """Rotate by 5 degrees: with white corners, or cropped to 70 % of the area, without them."""
    turned = image.rotate(
        5, Image.Resampling.BICUBIC, expand=not is_cropped, fillcolor=None if is_cropped else WHITE
    )
    return _jpeg(_centre(turned, 0.7) if is_cropped else turned)


def _centre(image: Picture, area: float) -> Picture:
    sides = [side * (1 - area**0.5) / 2 for side in image.size]
    left, top = (round(side) for side in sides)
    return image.crop((left, top, image.width - left, image.height - top))


SAME: Mapping[str, Change] = {
    **{f"JPEG {q}": partial(_saved, quality=q) for q in (15, 30, 50, 70, 90)},
    **{f"resized, x {factor:g}": partial(_resized, factor=factor) for factor in (0.25, 0.5, 2)},
    **{f"cropped to {percent} %": partial(_cropped, area=percent / 100) for percent in (90, 80)},
    "darker, x 0.7": partial(_enhanced, by=ImageEnhance.Brightness, factor=0.7),
    "brighter, x 1.3": partial(_enhanced, by=ImageEnhance.Brightness, factor=1.3),
    "overlay": _marked,
}
STRONGER: Mapping[str, Change] = {
    "cropped to 50 %": partial(_cropped, area=0.5),
    "mirrored": _mirrored,
    "rotated by 5°, white corners": partial(_rotated, is_cropped=False),
    "rotated by 5°, cropped": partial(_rotated, is_cropped=True),
    "grey": _grey,
    "contrast, x 1.4": partial(_enhanced, by=ImageEnhance.Contrast, factor=1.4),
}
# The set of whose copies groups are made.
GROUPED = "same picture"
SETS: Mapping[str, Mapping[str, Change]] = {GROUPED: SAME, "stronger": STRONGER}
