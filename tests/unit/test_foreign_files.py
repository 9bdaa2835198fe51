"""Networks in TorchScript and ONNX files: what they give is found out, and said in the recipe."""

import json
import logging
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, check_recipe, make_recipe, map_channels
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import locate, sha256_of
from spocdb.records import Float32Array, Recipe, UInt8Array
from spocdb.training.start import check_trainable

N_CHANNELS, PATCH = 5, 8


class Maps(nn.Module):
    """(N, 3, H, W) -> (N, 5, H / 8, W / 8), of any size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, N_CHANNELS, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.conv(images)
        return feature_map


class Vectors(Maps):
    """(N, 3, H, W) -> (N, 5), pooled as SSCD's file does: GeM, then length one."""

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.conv(images).clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)
        vector: Tensor = nn.functional.normalize(pooled)
        return vector


class Tokens(Maps):
    """(N, 3, H, W) -> (N, 2 + H / 8 * W / 8, 5): a class token and a register come first."""

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        first = torch.full((tokens.shape[0], 2, tokens.shape[2]), 1e6)
        return torch.cat([first, tokens], dim=1)


class FixedTokens(Tokens):
    """Tokens with a position embedding for 64 x 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 66, N_CHANNELS))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        first = torch.full((tokens.shape[0], 2, tokens.shape[2]), 1e6)
        return torch.cat([first, tokens], dim=1) + self.position


Scripted = Callable[[nn.Module], Path]


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """Return a function that saves a module as TorchScript."""

    def save(module: nn.Module) -> Path:
        file = tmp_path / f"{type(module).__name__}.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            torch.jit.save(torch.jit.script(module), file)
        return file

    return save


def chosen(name: str, file: Path, cache: Path, **options: Any) -> Recipe:
    return choose(Wanted(f"{name}:{file}", options=options), None, [], cache)


def images(size: int, n: int = 3) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def described(recipe: Recipe, cache: Path, pixels: UInt8Array) -> Float32Array:
    extractor = load_extractor(recipe, locate(recipe, cache), "cpu")
    assert extractor.precision == "float32"
    return extractor.extract(list(pixels))


def by_hand(feature_map: Tensor) -> Tensor:
    summed = feature_map.sum(dim=(2, 3))
    scaled: Tensor = summed / summed.norm(dim=1, keepdim=True)
    return scaled


def normalised(pixels: UInt8Array, recipe: Recipe) -> Tensor:
    values = (pixels.astype(np.float32) - recipe.mean) / recipe.std
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


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
    with pytest.raises(WeightsNotFound, match=f"{missing}: give the file with `weights=FILE`"):
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
    "changed",
    [
        {"channels": None},
        {"channels": 0},
        {"channels": "5"},
        {"channels": -5},
        {"sizes": (64, 32, 1)},
        {"sizes": (32, 64, 0)},
        {"sizes": (32, 64)},
        {"sizes": ("a", "b", "c")},
        {"sizes": (128, 256, 8)},
        {"sizes": (32, 4096, 1)},
        {"leading_tokens": -1},
        {"leading_tokens": "1"},
        {"backbone": None},
        {"backbone": "torchscript:"},
        {"layer": None},
    ],
)
def test_a_hostile_recipe_is_refused(
    changed: dict[str, Any], scripted: Scripted, tmp_path: Path
) -> None:
    recipe = replace(chosen("torchscript", scripted(Tokens()), tmp_path, size=64), **changed)
    with pytest.raises(ConfigError):
        check_recipe(recipe)


@pytest.mark.parametrize("name", ["torchscript", "onnx"])
def test_a_family_without_its_file_asks_for_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match=f"needs a file: .*`extractor='{name}:FILE'`"):
        choose(Wanted(name), None, [], tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the weights .*gone: No such file"):
        chosen(name, tmp_path / "gone", tmp_path)
    with pytest.raises(ConfigError, match=r"holds the weights: leave out `weights=\.\.\.`"):
        choose(Wanted(f"{name}:{tmp_path / 'a'}", tmp_path / "b"), None, [], tmp_path)


@pytest.mark.parametrize("name", ["torchscript", "onnx"])
@pytest.mark.parametrize(
    "data", [b"", b"broken", pickle.dumps(print)], ids=["none", "junk", "evil"]
)
def test_a_broken_file_is_one_line(name: str, data: bytes, tmp_path: Path) -> None:
    (file := tmp_path / "model").write_bytes(data)
    with pytest.raises(ConfigError, match="is broken, or no ") as caught:
        chosen(name, file, tmp_path)
    assert "\n" not in str(caught.value)


class Pair(Maps):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return images, images


class Numbers(Maps):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(2).argmax(2)


class Sum(Maps):
    def forward(self, images: Tensor) -> Tensor:
        return images.sum()


class Oblong(Maps):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None, None].expand(-1, 3, 1)[:, :0]


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (Pair(), "tuple"),
        (Numbers(), "torch.int64"),
        (Sum(), "a single number"),
        (Oblong(), "2 x 0 x 1"),
    ],
)
def test_what_is_no_feature_map_is_refused(
    module: nn.Module, given: str, scripted: Scripted, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"{given}.*: let it give one tensor \(N, C, h, w\)"):
        chosen("torchscript", scripted(module), tmp_path)


def graph(
    *nodes: Any,
    shape: tuple[int | str, ...] = ("n", 3, "h", "w"),
    kind: int = TensorProto.FLOAT,
    out: int = 4,
    inputs: tuple[str, ...] = ("pixels",),
    tensors: Mapping[str, Float32Array] = MappingProxyType({}),
) -> onnx.ModelProto:
    """Return a graph from its inputs to "features"."""
    return helper.make_model(
        helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
            [helper.make_tensor_value_info("features", kind, [None] * out)],
            [numpy_helper.from_array(values, name) for name, values in tensors.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )


def convolution() -> tuple[Any, dict[str, Float32Array]]:
    node = helper.make_node("Conv", ["pixels", "weight", "bias"], ["features"], strides=[8, 8])
    conv = Maps().conv
    assert conv.bias is not None
    return node, {"weight": conv.weight.detach().numpy(), "bias": conv.bias.detach().numpy()}


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
        trunk: Any = extractor._lanes[0].network.trunk
        assert name != "onnx" or sorted(trunk.run._sessions) == [1, 2]
    finally:
        torch.set_num_threads(n_before)
    np.testing.assert_allclose(alone, together, atol=1e-3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"shape": ("n", "h", "w", 3)},
        r"takes pixels tensor\(float\) .*: export it to take one input",
    ),
    ({"shape": ("n", 3, 64, 32)}, "squares"),
    ({"shape": ("n", 3)}, "squares"),
    ({"inputs": ("pixels", "mask")}, "takes pixels .*, mask .*: export it to take one input"),
    ({"kind": TensorProto.DOUBLE}, r"takes pixels tensor\(double\)"),
]


@pytest.mark.parametrize(("how", "message"), REFUSED)
def test_a_graph_that_takes_something_else_is_refused(
    how: dict[str, Any], message: str, tmp_path: Path
) -> None:
    node = helper.make_node("Identity", ["pixels"], ["features"])
    onnx.save(graph(node, **{"out": len(how.get("shape", "nchw")), **how}), file := tmp_path / "m")
    with pytest.raises(ConfigError, match=message):
        chosen("onnx", file, tmp_path)


def test_a_graph_with_its_weights_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sha256 would say nothing about them."""
    node, tensors = convolution()
    file = tmp_path / "model.onnx"
    onnx.save(
        graph(node, tensors=tensors),
        file,
        save_as_external_data=True,
        location="data",
        size_threshold=0,
    )
    assert (tmp_path / "data").stat().st_size > 0
    for folder in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(folder)
        with pytest.raises(ConfigError, match="export it again as one file") as caught:
            chosen("onnx", file, tmp_path / "cache")
        assert "\n" not in str(caught.value)


def test_an_operator_that_the_runtime_lacks_is_one_line(tmp_path: Path) -> None:
    node = helper.make_node("Unheard", ["pixels"], ["features"], domain="of.mine")
    model = graph(node)
    model.opset_import.append(helper.make_opsetid("of.mine", 1))
    onnx.save(model, file := tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"model.onnx is broken, or no .*of\.mine") as caught:
        chosen("onnx", file, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["torchscript", "onnx"])
def test_the_precision_is_the_file_s(name: str, scripted: Scripted, tmp_path: Path) -> None:
    file = scripted(Maps())
    if name == "onnx":
        node, tensors = convolution()
        onnx.save(graph(node, tensors=tensors), file)
    recipe = chosen(name, file, tmp_path, size=64)
    with pytest.raises(ConfigError, match=f"{name} computes in the precision of its file"):
        load_extractor(recipe, file, "cpu", "bfloat16")
    with pytest.raises(ConfigError, match=f"{name} cannot be trained here, only used"):
        check_trainable(recipe)
