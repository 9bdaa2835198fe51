"""JPEGs that the network's device decodes: equal to Pillow's pixels, or left to Pillow.

torchvision has the same call for a CPU, so that only CUDA's own decoder is not tested here.
"""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spocdb.errors import ImageTooLarge, UnreadableImage
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.jpegs import decode_on
from spocdb.features.recipes import make_recipe
from spocdb.images.decode import decode, plain_jpeg
from spocdb.pipeline.extraction import OnDemand, extract
from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.work import Work
from spocdb.progress import Progress
from spocdb.recipe_options import Fit
from spocdb.records import ImageRef, Jpeg

RECIPE = make_recipe("mini", "ab12", size=64)
CPU = torch.device("cpu")


def photograph(width: int = 200, height: int = 150, seed: int = 0, **options: Any) -> bytes:
    """Return a JPEG of smooth colours without symmetry, so that a flip or a turn shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return encoded(image, **options)


def encoded(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def plain(data: bytes) -> Jpeg:
    jpeg = plain_jpeg(data, 10**6)
    assert jpeg is not None
    return jpeg


@pytest.mark.parametrize("fit", ["warp", "aspect", "pad"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_those_of_pillow(fit: Fit, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = photograph(exif=exif)
    expected = decode(data, 64, fit, 10**6)
    jpeg = plain(data)
    assert (jpeg.width, jpeg.height) == (expected.width, expected.height)
    (pixels,) = decode_on(CPU, [jpeg], make_recipe("mini", "ab12", size=64, fit=fit))
    assert pixels is not None
    assert np.abs(pixels.numpy().astype(int) - expected.pixels).max() <= 2


@pytest.mark.parametrize("fit", ["warp", "pad"])
def test_pixels_are_resized_and_padded_as_the_recipe_says(fit: Fit) -> None:
    recipe = replace(
        make_recipe("mini", "ab12", size=64, fit=fit),
        interpolation="bicubic",
        mean=(10.0, 20.0, 30.0),
    )
    noise = np.random.default_rng(0).integers(0, 256, (30, 50), np.uint8)
    data = encoded(Image.fromarray(noise).resize((100, 60), Image.Resampling.NEAREST))
    expected = decode(data, 64, fit, 10**6, recipe.canvas).pixels.astype(int)
    (pixels,) = decode_on(CPU, [plain(data)], recipe)
    assert pixels is not None
    # Pillow rounds between its two passes, which shows most on noise.
    assert np.abs(pixels.numpy() - expected).max() <= 5
    plainly = decode(data, 64, fit, 10**6).pixels
    assert np.abs(plainly - expected).max() > 20


def test_grey_becomes_rgb() -> None:
    data = encoded(Image.open(io.BytesIO(photograph())).convert("L"))
    (pixels,) = decode_on(CPU, [plain(data)], RECIPE)
    assert pixels is not None
    assert np.abs(pixels.numpy().astype(int) - decode(data, 64, "warp", 10**6).pixels).max() <= 2


@pytest.mark.parametrize(
    "data",
    [
        photograph()[:-2],
        photograph() + b"more",
        encoded(Image.new("CMYK", (40, 30))),
        b"\xff\xd8\xff\xff\xd9",
        b"GIF89a",
        b"",
    ],
    ids=["cut off", "with something behind", "inks", "empty", "another format", "nothing"],
)
def test_what_is_no_plain_jpeg_is_left_to_pillow(data: bytes) -> None:
    assert plain_jpeg(data, 10**6) is None


def test_the_limit_of_pixels_holds_before_anything_is_decoded() -> None:
    with pytest.raises(ImageTooLarge, match="200 x 150"):
        plain_jpeg(photograph(), 29_999)


def test_a_bad_one_among_others_is_told_alone() -> None:
    good = [plain(photograph(seed=seed)) for seed in range(4)]
    bad = Jpeg(b"\xff\xd8\xff\xdb and no more \xff\xd9", 1, 200, 150)
    there = decode_on(CPU, [*good[:2], bad, *good[2:]], RECIPE)
    assert [pixels is None for pixels in there] == [False, False, True, False, False]


@pytest.fixture
def extractor() -> Iterator[Extractor]:
    """Return an extractor that decodes JPEGs on its device, which is a CPU."""
    extractor = load_extractor(RECIPE, MINI, "cpu", "float32")
    extractor.decodes_jpegs = extractor._jpegs_unproven = True
    yield extractor


def works(*contents: bytes) -> Iterator[Work[ImageRef]]:
    for i, data in enumerate(contents):
        work = Work([ImageRef(f"/{i}.jpg")], bytes([i]) * 32, data)
        decode_work(work, RECIPE, 10**6, defer=True)
        yield work


def test_a_batch_of_both_kinds_and_a_broken_one(extractor: Extractor, tmp_path: Path) -> None:
    broken = bytearray(photograph(seed=3))
    # The header is whole; the pixels are damaged.
    broken[-400:-2] = b"\xff\xc0" * 199
    png = io.BytesIO()
    Image.open(io.BytesIO(photograph(seed=1))).save(png, "PNG")
    contents = (photograph(seed=0), png.getvalue(), bytes(broken), photograph(seed=2))
    loaded = OnDemand(RECIPE, lambda: extractor)
    ((batch, descriptors),) = extract(works(*contents), loaded, 8, Progress())
    pixels = [decode(contents[i], 64, "warp", 10**6).pixels for i in (0, 1, 3)]
    expected = load_extractor(RECIPE, MINI, "cpu", "float32").extract(pixels)
    raw = np.stack([descriptors[bytes([i]) * 32].descriptor for i in (0, 1, 3)])
    assert (raw * expected).sum(axis=1).min() > 0.999
    assert (descriptors[bytes([3]) * 32].width, descriptors[bytes([3]) * 32].height) == (200, 150)
    assert isinstance(batch[2].error, UnreadableImage)
    assert len(descriptors) == 3


def test_a_device_that_decodes_otherwise_is_not_asked_again(extractor: Extractor) -> None:
    turned = Jpeg(photograph(), 3, 200, 150)
    with extractor.lane() as lane:
        assert extractor.decode_in(lane, [turned, plain(photograph())]) == [None, None]
    assert not extractor.decodes_jpegs


def test_a_device_that_decodes_nothing_is_not_asked_again(extractor: Extractor) -> None:
    bad = Jpeg(b"\xff\xd8\xff\xdb and no more \xff\xd9", 1, 200, 150)
    with extractor.lane() as lane:
        assert extractor.decode_in(lane, [bad]) == [None]
    assert not extractor.decodes_jpegs
