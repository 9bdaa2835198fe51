"""Networks in TorchScript and ONNX files: what they give is found out, and said in the recipe."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, check_recipe, make_recipe, map_channels
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import locate, sha256_of
from spocdb.records import Recipe
from tests.fixtures.foreign import (
    N_CHANNELS,
    PATCH,
    FixedTokens,
    Maps,
    Scripted,
    Tokens,
    Vectors,
    by_hand,
    chosen,
    described,
    images,
    normalised,
)
from tests.fixtures.graphs import convolution, graph


def test_a_torchscript_file_of_any_size(scripted: Scripted, tmp_path: Path) -> None:
    file = scripted(Maps())
    recipe = chosen("torchscript", file, tmp_path, size=64)
    assert (recipe.backbone, recipe.layer, recipe.weights) == (
        "torchscript",
        "forward",
        sha256_of(file),
    )
    assert (recipe.channels, recipe.sizes, recipe.leading_tokens) == (N_CHANNELS, None, None)
    assert (recipe.relu, recipe.sigma, recipe.interpolation) == (False, None, "bilinear")
    assert recipe.mean == make_recipe("vgg19", "ab").mean
    pixels = images(64)
    with torch.inference_mode():
        expected = by_hand(Maps()(normalised(pixels, recipe)))
    np.testing.assert_allclose(described(recipe, tmp_path, pixels), expected, atol=1e-3)
    assert chosen("torchscript", file, tmp_path).size == 224


def test_a_file_is_normalised_as_the_user_says_and_that_is_told(
    scripted: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    given: dict[str, Any] = {"mean": (0.0, 1.0, 2.0), "std": (255.0, 254.0, 253.0)}
    recipe = chosen(
        "torchscript", scripted(Maps()), tmp_path, size=64, interpolation="bicubic", **given
    )
    assert (recipe.interpolation, recipe.mean, recipe.std) == ("bicubic", *given.values())
    (line,) = caplog.messages
    assert line == ("torchscript: 5 values at 64 pixels, mean 0, 1, 2, std 255, 254, 253, bicubic")
    pixels = images(64)
    with torch.inference_mode():
        expected = by_hand(Maps()(normalised(pixels, recipe)))
    np.testing.assert_allclose(described(recipe, tmp_path, pixels), expected, atol=1e-3)


def test_a_relu_may_be_put_on_top(scripted: Scripted, tmp_path: Path) -> None:
    recipe = chosen("torchscript", scripted(Maps()), tmp_path, size=64, relu=True)
    pixels = images(64)
    with torch.inference_mode():
        expected = by_hand(Maps()(normalised(pixels, recipe)).relu())
    np.testing.assert_allclose(described(recipe, tmp_path, pixels), expected, atol=1e-3)


def test_what_is_already_pooled_is_its_own_sum(scripted: Scripted, tmp_path: Path) -> None:
    recipe = chosen("torchscript", scripted(Vectors()), tmp_path, size=64)
    assert (recipe.channels, recipe.sizes) == (N_CHANNELS, None)
    pixels = images(64)
    with torch.inference_mode():
        expected = Vectors()(normalised(pixels, recipe))
    np.testing.assert_allclose(described(recipe, tmp_path, pixels), expected, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "max"},
        {"pooling": "gem"},
        {"pooling": "rmac"},
        {"attention": "crow"},
        {"attention": "norm"},
        {"centering": True},
        {"scales": (1.0, 0.5), "flip": True},
    ],
)
@pytest.mark.parametrize("module", [Maps(), Vectors()], ids=["maps", "vectors"])
def test_every_pooling_takes_them(
    options: dict[str, Any], module: nn.Module, scripted: Scripted, tmp_path: Path
) -> None:
    recipe = chosen("torchscript", scripted(module), tmp_path, size=64, **options)
    lengths = np.linalg.norm(described(recipe, tmp_path, images(64)), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)


def test_tokens_are_a_map_without_the_first_ones(scripted: Scripted, tmp_path: Path) -> None:
    recipe = chosen("torchscript", scripted(Tokens()), tmp_path, size=64)
    assert (recipe.channels, recipe.leading_tokens) == (N_CHANNELS, 2)
    assert recipe.sizes == (32, 4096, PATCH)
    pixels = images(64)
    with torch.inference_mode():
        expected = by_hand(Maps()(normalised(pixels, recipe)))
    np.testing.assert_allclose(described(recipe, tmp_path, pixels), expected, atol=1e-3)
    with pytest.raises(ConfigError, match="size must be 32 to 4096 pixels in steps of 8, not 100"):
        choose(Wanted(recipe.name, options={"size": 100}), None, [recipe], tmp_path)


def test_tokens_with_fixed_positions_take_one_size(scripted: Scripted, tmp_path: Path) -> None:
    file = scripted(FixedTokens())
    recipe = chosen("torchscript", file, tmp_path, size=64)
    assert recipe.sizes == (64, 64, 1)
    with pytest.raises(ConfigError, match="size must be 64 pixels, not 32"):
        choose(Wanted(recipe.name, options={"size": 32}), None, [recipe], tmp_path)
    with pytest.raises(ConfigError, match="takes only squares of certain sizes"):
        choose(Wanted(recipe.name, options={"fit": "aspect"}), None, [recipe], tmp_path)
    message = r"FixedTokens.pt fails on images of 224 x 224 \(.*size of tensor a .*\): take another"
    with pytest.raises(ConfigError, match=message) as caught:
        chosen("torchscript", file, tmp_path)
    assert "\n" not in str(caught.value)


class Squares(Maps):
    """Fails on what is no square."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] == images.shape[3], "no square"
        feature_map: Tensor = self.conv(images)
        return feature_map


def test_what_fails_later_is_one_line_too(scripted: Scripted, tmp_path: Path) -> None:
    recipe = chosen("torchscript", scripted(Squares()), tmp_path, size=64, fit="aspect")
    assert recipe.sizes is None
    with pytest.raises(ConfigError, match=r"fails on images of 40 x 64 \(.*no square") as caught:
        described(recipe, tmp_path, images(64)[:, :, :40])
    assert "\n" not in str(caught.value)


def test_a_recipe_needs_no_file_to_be_known(scripted: Scripted, tmp_path: Path) -> None:
    file = scripted(Tokens())
    recipe = chosen("torchscript", file, tmp_path, size=64)
    file.unlink()
    stored = Recipe(**json.loads(json.dumps(asdict(recipe))))
    assert stored == recipe
    assert channels(stored) == map_channels(stored) == N_CHANNELS
    check_recipe(stored)
    assert choose(Wanted(), stored, [], tmp_path) == stored
    missing = f"the weights {recipe.weights[:12]} of torchscript are not on this machine"
    with pytest.raises(
        WeightsNotFound, match=f"{missing}: give the file with `weights=torchscript:FILE`"
    ):
        locate(stored, tmp_path)


def test_a_collection_takes_its_own_file_again_and_no_other(
    scripted: Scripted, tmp_path: Path
) -> None:
    mine, other = scripted(Maps()), scripted(Tokens())
    stored = chosen("torchscript", mine, tmp_path, size=64)
    for again in (Wanted(f"torchscript:{mine}"), Wanted(weights=mine), Wanted(stored.name)):
        assert choose(again, stored, [], tmp_path) == stored
    message = f"keeps it .weights {stored.weights[:12]}, asked for {sha256_of(other)[:12]}"
    with pytest.raises(ConfigError, match=message):
        choose(Wanted(f"torchscript:{other}"), stored, [], tmp_path)
    with pytest.raises(ConfigError, match=r"keeps it .asked for mini"):
        choose(Wanted("mini"), stored, [], tmp_path)


def test_another_file_under_a_known_recipe_is_looked_at(scripted: Scripted, tmp_path: Path) -> None:
    known = chosen("torchscript", scripted(Maps()), tmp_path, size=64, pooling="max")
    recipe = choose(Wanted(known.name, scripted(Tokens())), None, [known], tmp_path)
    assert (recipe.pooling, recipe.size, recipe.leading_tokens) == ("max", 64, 2)


@pytest.mark.parametrize(
    ("shape", "sizes", "size"),
    [
        (("n", 3, "h", "w"), None, 224),
        ((1, 3, 64, 64), (64, 64, 1), 64),
        ((2, 3, 64, 64), (64, 64, 1), 64),
    ],
)
def test_an_onnx_graph_says_its_size_and_batch(
    shape: tuple[int | str, ...], sizes: Any, size: int, tmp_path: Path
) -> None:
    node, tensors = convolution()
    onnx.save(graph(node, shape=shape, tensors=tensors), file := tmp_path / "model.onnx")
    recipe = chosen("onnx", file, tmp_path / "cache")
    assert (recipe.backbone, recipe.layer, recipe.channels) == ("onnx", "features", N_CHANNELS)
    assert (recipe.size, recipe.sizes) == (size, sizes)
    pixels = images(size)
    with torch.inference_mode():
        expected = by_hand(Maps()(normalised(pixels, recipe)))
    np.testing.assert_allclose(described(recipe, tmp_path / "cache", pixels), expected, atol=1e-3)
    if sizes:
        with pytest.raises(ConfigError, match="size must be 64 pixels, the only size of the ONNX"):
            chosen("onnx", file, tmp_path, size=96)


@pytest.mark.parametrize("name", ["torchscript", "onnx"])
def test_one_image_has_all_cores_and_a_batch_one_each(
    name: str, scripted: Scripted, tmp_path: Path
) -> None:
    file = scripted(Maps())
    if name == "onnx":
        node, tensors = convolution()
        onnx.save(graph(node, tensors=tensors), file)
    recipe = chosen(name, file, tmp_path, size=64)
    n_before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        extractor = load_extractor(recipe, file, "cpu")
        alone = [extractor.extract([image])[0] for image in images(64, 6)]
        together = extractor.extract(list(images(64, 6)))
        trunk: Any = extractor._lanes.all[0].network.trunk
        assert name != "onnx" or sorted(trunk.run._sessions) == [1, 2]
    finally:
        torch.set_num_threads(n_before)
    np.testing.assert_allclose(alone, together, atol=1e-3)
