"""Signatures: the bits that copies of a picture share."""

import io
import random
from collections.abc import Callable

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from spocdb.images.decode import decode
from spocdb.images.signatures import VERSION, signature
from spocdb.thumbnails import signature_of


def picture(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Draw soft blobs of colour, other ones for each seed."""
    rng = random.Random(seed)
    small = Image.new("RGB", (6, 5))
    small.putdata([tuple(rng.randrange(256) for _ in range(3)) for _ in range(30)])
    return small.resize(size, Image.Resampling.BICUBIC)


def bits(image: Image.Image) -> int:
    found = signature(image).bits
    assert found is not None
    return found


def differing(one: Image.Image, other: Image.Image) -> int:
    return ((bits(one) ^ bits(other)) & (2**64 - 1)).bit_count()


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_hash_of_imagehash(seed: int) -> None:
    image = picture(seed)
    theirs = np.packbits(imagehash.phash(image).hash.ravel()).tobytes()
    assert bits(image) == int.from_bytes(theirs, signed=True)


def jpeg(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=15)
    return Image.open(stream)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": jpeg,
    "quarter": lambda image: image.resize((50, 37)),
    "double": lambda image: image.resize((400, 300)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_agree(copy: str) -> None:
    assert max(differing(picture(seed), COPIES[copy](picture(seed))) for seed in range(20)) <= 10


def test_other_pictures_do_not() -> None:
    pictures = [picture(seed) for seed in range(20)]
    pairs = [(one, other) for one in pictures for other in pictures if one is not other]
    assert min(differing(*pair) for pair in pairs) > 10


def test_a_plain_picture_has_none() -> None:
    for colour in ("white", "black", "red"):
        assert signature(Image.new("RGB", (64, 64), colour)).bits is None


def test_it_is_made_with_the_thumbnail_and_again_from_it() -> None:
    stream = io.BytesIO()
    picture(1, (900, 700)).save(stream, "JPEG", quality=90)
    small = decode(stream.getvalue(), 256, "warp", 10**6, with_thumbnail=True).small
    assert small is not None and small.signature.version == VERSION
    made, again = small.signature.bits, signature_of(small.webp).bits
    assert made is not None and again is not None
    assert ((made ^ again) & (2**64 - 1)).bit_count() <= 2
