"""NumPy's descriptors of a plain stack are torch's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from spocdb.errors import ConfigError, DescriptorError
from spocdb.features import plain
from spocdb.features.backbones import find
from spocdb.features.backbones.mini import WEIGHTS
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import sha256_of
from spocdb.records import UInt8Array

MINI = find("mini")
RECIPE = make_recipe(MINI, sha256_of(WEIGHTS))


def picture(height: int, width: int, seed: int) -> UInt8Array:
    """Return smooth colours, as photographs have."""
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.uniform(0, 255, (1, 3, 6, 8)))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return np.asarray(large[0].permute(1, 2, 0).to(torch.uint8).numpy())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sigma": 0.3},
        {"centering": False},
        {"fit": "aspect"},
        {"size": 97},
    ],
    ids=str,
)
def test_the_descriptors_are_those_of_torch(options: dict[str, Any]) -> None:
    recipe = make_recipe(MINI, RECIPE.weights, **options)
    found, network = plain.load(recipe, WEIGHTS), load_extractor(recipe, WEIGHTS, "cpu", "float32")
    assert found is not None and plain.computes(recipe)
    # Sides for which the last window of a pooling ends within the map, and beyond it.
    for seed, size in enumerate([(256, 256), (97, 97), (32, 131), (200, 64), (33, 34)]):
        pixels = picture(*size, seed)
        ours, theirs = found.describe(pixels), network.describe(pixels)
        assert ours.dtype == np.float32 and ours.shape == (recipe.channels or 256,)
        # What rounding to half precision leaves of differences in the seventh digit.
        np.testing.assert_allclose(ours, theirs, rtol=2**-10, atol=2e-6)
        assert 1 - ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) < 1e-6


def test_the_descriptor_is_of_half_precision_and_finite_even_of_nothing() -> None:
    found = plain.load(RECIPE, WEIGHTS)
    assert found is not None
    for value in (0, 255):
        raw = found.describe(np.full((64, 64, 3), value, np.uint8))
        np.testing.assert_array_equal(raw, raw.astype(np.float16))
        assert abs(np.linalg.norm(raw) - 1) < 1e-3


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("vgg19", {}),
        ("mini", {"pooling": "max"}),
        ("mini", {"pooling": "gem", "gem_p": 3.0}),
        ("mini", {"attention": "norm"}),
        ("mini", {"flip": True}),
        ("mini", {"scales": (1.0, 0.5)}),
        ("mini", {"relu": True}),
        ("mini", {"size": 1024}),
    ],
)
def test_anything_else_is_left_to_torch(backbone: str, options: dict[str, Any]) -> None:
    assert not plain.computes(make_recipe(find(backbone), "ab12", **options))


def spoiled(change: Any) -> dict[str, torch.Tensor]:
    state = safetensors.torch.load_file(WEIGHTS)
    change(state)
    return state


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("features.0.bias"),
        lambda state: state["features.0.weight"].fill_(float("nan")),
        lambda state: state["features.0.weight"].zero_(),
        lambda state: state.update({"features.0.bias": torch.zeros(3)}),
        lambda state: state.update({"features.0.bias": torch.zeros(64, dtype=torch.int32)}),
    ],
    ids=["missing", "not finite", "zero", "another shape", "no floats"],
)
def test_weights_that_do_not_fit_are_left_to_torch_which_refuses_them(
    tmp_path: Path, change: Any
) -> None:
    file = tmp_path / "spoiled.safetensors"
    safetensors.torch.save_file(spoiled(change), file)
    assert plain.load(RECIPE, file) is None
    with pytest.raises(ConfigError, match="weights of mini"):
        load_extractor(RECIPE, file, "cpu", "float32")


def test_numbers_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    state = {name: tensor.float() for name, tensor in spoiled(lambda state: None).items()}
    state["features.0.weight"] *= 1e30
    state["features.3.weight"] *= 1e30
    file = tmp_path / "large.safetensors"
    safetensors.torch.save_file(state, file)
    found = plain.load(RECIPE, file)
    assert found is not None
    with pytest.raises(DescriptorError, match="not finite"):
        found.describe(picture(64, 64, 0))


def test_files_of_torch_and_broken_ones_are_left_to_torch(tmp_path: Path) -> None:
    torch.save(safetensors.torch.load_file(WEIGHTS), tmp_path / "saved.pth")
    (tmp_path / "broken.safetensors").write_bytes(WEIGHTS.read_bytes()[:1000])
    for name in ("saved.pth", "broken.safetensors", "missing.safetensors"):
        assert plain.load(RECIPE, tmp_path / name) is None
