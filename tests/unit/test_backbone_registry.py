"""One new file adds a network: no other file names it."""

import io
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features import backbones
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, check_recipe, make_recipe
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import own
from spocdb.images.apart import Apart
from spocdb.images.decode import decode
from spocdb.pipeline.intake import decode_work
from spocdb.pipeline.work import Work
from spocdb.recipe_options import Background, Interpolation
from spocdb.records import Crop, Decoded, ImageRef, Recipe, UInt8Array
from spocdb.search import describe
from spocdb.settings import Limits

LIMITS = Limits(max_pixels=10**6, max_bytes=10**6, memory=2**28)

FAMILY = """
from functools import partial

from spocdb.features.declarations import Backbone
from spocdb.features.cuts import cut_sequence


def network():
    from collections import OrderedDict

    from torch import nn

    features = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 7, 1))
    return nn.Sequential(OrderedDict(features=features))


class Averages:
    # Stands for another runtime: no state dict, and nothing to fuse.
    def load(self, recipe, weights):
        from torch import nn

        return nn.AvgPool2d(int(weights.read_text()))

    def engine(self, trunk, dtype, device):
        return trunk


BACKBONES = (
    Backbone(
        name="toy",
        layers={"last": 7, "first": 6},
        network=network,
        cut=partial(cut_sequence, {"last": 2, "first": 0}),
        size=64,
        sizes=range(32, 97, 16),
        interpolation="bicubic",
        mean=(127.5, 127.5, 127.5),
        std=(255.0, 255.0, 255.0),
    ),
    Backbone(
        name="averages",
        layers={"only": 3},
        network=network,
        cut=None,
        size=32,
        runtime=Averages(),
    ),
)
"""


@pytest.fixture(autouse=True)
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add a module to the package of backbones, and remove its networks after the test."""
    folder = tmp_path / "families"
    folder.mkdir()
    (folder / "toy.py").write_text(FAMILY)
    with monkeypatch.context() as patch:
        patch.setattr(backbones, "__path__", [*backbones.__path__, str(folder)])
        invalidate_caches()
        backbones._declared.cache_clear()
        yield
    sys.modules.pop(f"{backbones.__name__}.toy", None)
    backbones._declared.cache_clear()
    assert "toy" not in backbones.names()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    state = backbones.find("toy").network().state_dict()
    file = tmp_path / "toy.pth"
    torch.save({n: torch.randn(t.shape, generator=generator) for n, t in state.items()}, file)
    return file


def picture() -> bytes:
    """Return a PNG of 40 x 40 random pixels with random transparency."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 4), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def drawn(recipe: Recipe, crop: bool = False) -> UInt8Array:
    """Resize and composite as a recipe says, with Pillow alone."""
    image = Image.open(io.BytesIO(picture()))
    flat = Image.new("RGB", image.size, recipe.background)
    flat.paste(image, mask=image.getchannel("A"))
    part = flat.crop((0, 0, 20, 20)) if crop else flat
    how = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    return np.array(part.resize((recipe.size, recipe.size), how[recipe.interpolation]))


def test_a_new_file_is_an_extractor_from_the_bytes_to_the_descriptor(
    weights: Path, tmp_path: Path
) -> None:
    recipe = choose(Wanted("toy", weights), None, [], tmp_path / "cache")
    assert (recipe.interpolation, recipe.background) == ("bicubic", "white")
    extractor = load_extractor(recipe, weights, "cpu", "float32")
    raw = describe(picture(), recipe, lambda: extractor, LIMITS)
    assert raw.shape == (channels(recipe),) == (7,)

    # The same by hand: the declared normalisation, the network, a ReLU, the paper's prior.
    network = backbones.find("toy").network()
    network.load_state_dict(torch.load(weights))
    with torch.inference_mode():
        pixels = torch.from_numpy(drawn(recipe)).permute(2, 0, 1).float()
        (feature_map,) = network(((pixels - 127.5) / 255)[None]).relu()
    y, x = (torch.arange(n) - (n - 1) / 2 for n in feature_map.shape[1:])
    sigma = (len(x) - 1) / 2 / 3
    prior = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2))
    summed = (feature_map * prior).sum(dim=(1, 2))
    np.testing.assert_allclose(raw, summed / summed.norm(), atol=5e-4)


def test_the_dimension_is_that_of_the_layer_which_the_recipe_names(weights: Path) -> None:
    recipe = replace(make_recipe("toy", "a" * 64), layer="first")
    assert channels(recipe) == 6
    extractor = load_extractor(recipe, weights, "cpu", "float32")
    assert extractor.extract([drawn(recipe)]).shape == (1, 6)
    with pytest.raises(ConfigError, match="unknown layer second of toy: upgrade spocdb"):
        channels(replace(recipe, layer="second"))


def test_a_network_says_which_sizes_it_takes() -> None:
    assert make_recipe("toy", "ab12", size=96).size == 96
    for size in (31, 33, 112):
        message = f"size must be 32 to 96 pixels in steps of 16, not {size}"
        with pytest.raises(ConfigError, match=message):
            make_recipe("toy", "ab12", size=size)
    others: list[dict[str, Any]] = [{"fit": "aspect"}, {"scales": (1, 0.5)}]
    for options in others:
        with pytest.raises(ConfigError, match="toy takes only squares of certain sizes"):
            make_recipe("toy", "ab12", **options)


def test_a_network_says_how_its_input_is_normalised() -> None:
    recipe = make_recipe("toy", "a" * 64)
    assert (recipe.mean, recipe.std) == ((127.5,) * 3, (255.0,) * 3)
    check_recipe(recipe)
    other = make_recipe("toy", "a" * 64, mean=(0, 0, 0), std=(255, 255, 255))
    assert (other.mean, other.std) == ((0.0,) * 3, (255.0,) * 3)
    check_recipe(other)
    wrong: list[Any] = [(0.5,), (300.0, 0.0, 0.0), (float("nan"),) * 3, ("a", "b", "c")]
    for mean in wrong:
        with pytest.raises(ConfigError):
            check_recipe(replace(recipe, mean=mean))
    with pytest.raises(ConfigError, match="has no extractor such as toy-"):
        check_recipe(replace(recipe, mean=(127, 127, 127)))  # equal, with another fingerprint


def test_another_runtime_stays_within_its_file(tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    cells.write_text("16")
    recipe = make_recipe("averages", "a" * 64, centering=False)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    (raw,) = load_extractor(recipe, cells, "cpu").extract([red])
    expected = (np.array([255.0, 0, 0]) - recipe.mean) / recipe.std
    np.testing.assert_allclose(raw, expected / np.linalg.norm(expected), atol=1e-3)


def test_weights_that_nobody_offers_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match="no weights of toy are available: give a file"):
        own("toy", tmp_path)


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_way_to_the_network_resizes_and_flattens_as_the_recipe_says(
    interpolation: Interpolation, background: Background, weights: Path
) -> None:
    recipe = replace(
        make_recipe("toy", "a" * 64), interpolation=interpolation, background=background
    )
    with closing(Apart()) as apart:
        for how in (None, apart.decode):
            work: Work[ImageRef] = Work([], data=picture())
            decode_work(work, recipe, 10**6, apart=how)
            assert isinstance(work.picture, Decoded)
            np.testing.assert_array_equal(work.picture.pixels, drawn(recipe))

    extractor = load_extractor(recipe, weights, "cpu", "float32")
    for crop in (None, Crop(0, 0, 20, 20)):
        raw = describe(picture(), recipe, lambda: extractor, LIMITS, crop)
        np.testing.assert_array_equal(raw, extractor.extract([drawn(recipe, bool(crop))])[0])


@pytest.mark.parametrize("name", ["toy", "mini"])
def test_padding_is_zero_once_it_is_normalised(name: str) -> None:
    recipe = make_recipe(name, "a" * 64, size=64, fit="pad")
    stream = io.BytesIO()
    Image.new("RGB", (40, 20)).save(stream, "PNG")
    pixels = decode(stream.getvalue(), 64, "pad", 10**6, recipe.canvas).pixels
    assert np.abs(pixels[0, 0] - np.array(recipe.mean)).max() <= 0.5
    assert not pixels[32, 32].any()


@pytest.mark.parametrize(
    ("field", "value"), [("interpolation", "lanczos"), ("background", "plaid")]
)
def test_a_recipe_of_a_newer_version_is_refused_in_one_line(
    field: str, value: str, weights: Path
) -> None:
    changed: dict[str, Any] = {field: value}
    recipe = replace(make_recipe("toy", "a" * 64), **changed)
    with pytest.raises(ConfigError, match=f"unknown {field}, '{value}': upgrade spocdb"):
        load_extractor(recipe, weights, "cpu")
