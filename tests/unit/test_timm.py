"""timm's models: their feature maps and tokens, against timm run by hand, with random weights."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.backbones import find
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, check_recipe
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import own
from spocdb.records import Float32Array, Recipe, UInt8Array
from spocdb.training.start import check_trainable

Saved = tuple[Any, Path]


def build(name: str, **options: Any) -> Any:
    """Return one of timm's models with seeded values that are not zero."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, **options).eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point() and not tensor.any():
            nn.init.normal_(tensor, std=0.1)
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Saved]:
    """Return a function that builds a model, and saves its weights with its classifier."""

    def save(name: str, **options: Any) -> Saved:
        model, file = build(name, **options), tmp_path / f"{name}.safetensors"
        save_file(model.state_dict(), file)
        return model, file

    return save


def chosen(name: str, file: Path, cache: Path, **options: Any) -> Recipe:
    return choose(Wanted(f"timm:{name}", file, options), None, [], cache)


def images(size: int, n: int = 2) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def described(recipe: Recipe, file: Path, pixels: UInt8Array) -> Float32Array:
    return load_extractor(recipe, file, "cpu", "float32").extract(list(pixels))


def features(model: Any, pixels: UInt8Array, recipe: Recipe) -> Tensor:
    """Return what timm gives for pixels that are normalised by hand."""
    values = torch.from_numpy((pixels / 255.0).astype(np.float32)).permute(0, 3, 1, 2)
    cfg = model.pretrained_cfg
    mean, std = (torch.tensor(cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        given: Tensor = model.forward_features((values - mean) / std)
    return given


def loaded_by_timm(name: str, file: Path, **options: Any) -> Any:
    """Return a model whose weights timm itself has loaded, resampling its positions."""
    overlay = {"file": str(file)}
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    return model.eval()


def pooled(positions: Tensor) -> Tensor:
    """(N, P, C) -> (N, C) of length one."""
    summed = positions.sum(dim=1)
    scaled: Tensor = summed / summed.norm(dim=1, keepdim=True)
    return scaled


@pytest.mark.parametrize(
    ("name", "interpolation"),
    [("test_resnet", "bilinear"), ("test_efficientnet", "bicubic"), ("test_convnext", "bicubic")],
)
def test_a_convolutional_model(
    name: str, interpolation: str, saved: Callable[..., Saved], tmp_path: Path
) -> None:
    model, file = saved(name)
    recipe = chosen(name, file, tmp_path)
    assert (recipe.backbone, recipe.layer) == (f"timm:{name}", "forward_features")
    assert (recipe.size, recipe.interpolation, recipe.sizes) == (160, interpolation, None)
    assert recipe.leading_tokens is None and recipe.sigma is None and not recipe.relu
    np.testing.assert_allclose(np.array(recipe.mean) / 255, model.pretrained_cfg["mean"])
    for side in (160, 96):
        pixels = images(side)
        expected = pooled(features(model, pixels, recipe).flatten(2).transpose(1, 2))
        np.testing.assert_allclose(described(recipe, file, pixels), expected, atol=1e-3)
    assert channels(recipe) == model.num_features


def test_channels_last_are_put_first(saved: Callable[..., Saved], tmp_path: Path) -> None:
    model, file = saved("test_mambaout")
    recipe = chosen("test_mambaout", file, tmp_path)
    pixels = images(recipe.size)
    given = features(model, pixels, recipe)
    assert model.output_fmt == "NHWC" and given.shape[3] == recipe.channels == 64
    expected = pooled(given.flatten(1, 2))
    np.testing.assert_allclose(described(recipe, file, pixels), expected, atol=1e-3)


def test_tokens_are_a_map_without_class_and_register_tokens(
    saved: Callable[..., Saved], tmp_path: Path
) -> None:
    model, file = saved("test_vit2")
    recipe = chosen("test_vit2", file, tmp_path)
    assert (recipe.channels, recipe.leading_tokens) == (64, model.num_prefix_tokens) == (64, 1)
    pixels = images(recipe.size)
    expected = pooled(features(model, pixels, recipe)[:, 1:])
    np.testing.assert_allclose(described(recipe, file, pixels), expected, atol=1e-3)


def test_a_vision_transformer_takes_sizes_in_steps_of_its_patch(
    saved: Callable[..., Saved], tmp_path: Path
) -> None:
    _, file = saved("test_vit")
    recipe = chosen("test_vit", file, tmp_path, size=96)
    assert recipe.sizes == (32, 4096, 16)
    smaller = loaded_by_timm("test_vit", file, img_size=96)
    pixels = images(96)
    expected = pooled(features(smaller, pixels, recipe)[:, 1:])
    np.testing.assert_allclose(described(recipe, file, pixels), expected, atol=1e-3)
    with pytest.raises(ConfigError, match="size must be 32 to 4096 pixels in steps of 16, not 90"):
        chosen("test_vit", file, tmp_path, size=90)


@pytest.mark.slow
def test_dinov2_without_registers(tmp_path: Path) -> None:
    """With random values: the shape of its tokens, not its quality."""
    name = "vit_small_patch14_dinov2"
    model = build(name, num_classes=0)
    torch.save(model.state_dict(), file := tmp_path / "dinov2.pth")
    recipe = chosen(name, file, tmp_path, size=56)
    assert (recipe.channels, recipe.leading_tokens) == (384, 1)
    assert recipe.sizes == (42, 4088, 14)
    assert recipe.interpolation == "bicubic"
    assert find(f"timm:{name}").size == 518
    pixels = images(56, 1)
    small = loaded_by_timm(name, file, num_classes=0, img_size=56)
    expected = pooled(features(small, pixels, recipe)[:, 1:])
    np.testing.assert_allclose(described(recipe, file, pixels), expected, atol=1e-3)


def test_registers_are_left_out_too() -> None:
    backbone = find("timm:vit_small_patch14_reg4_dinov2")
    assert backbone.recorded["leading_tokens"] == 5


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "xcit_nano_12_p8_224"])
def test_other_transformers_take_their_own_size(name: str) -> None:
    backbone = find(f"timm:{name}")
    assert list(backbone.sizes) == [224]
    assert backbone.recorded["leading_tokens"] == (1 if "xcit" in name else None)


def test_a_recipe_needs_no_timm_to_be_known(
    saved: Callable[..., Saved], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, file = saved("test_vit")
    recipe = chosen("test_vit", file, tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert channels(recipe) == 64
    check_recipe(recipe)
    assert choose(Wanted(), recipe, [], tmp_path) == recipe
    message = r"timm is not installed: run `pip install 'spocdb\[timm\]'`"
    with pytest.raises(ConfigError, match=message):
        load_extractor(recipe, file, "cpu")
    with pytest.raises(ConfigError, match=message):
        chosen("test_vit", file, tmp_path)


def test_weights_that_do_not_fit_are_one_line(saved: Callable[..., Saved], tmp_path: Path) -> None:
    _, file = saved("test_resnet")
    recipe = chosen("test_efficientnet", file, tmp_path)
    with pytest.raises(ConfigError, match=r"no weights of timm:test_efficientnet: .* is missing"):
        load_extractor(recipe, file, "cpu")
    recipe = chosen("test_vit", file, tmp_path)
    with pytest.raises(ConfigError, match="no weights of timm:test_vit: "):
        load_extractor(recipe, file, "cpu")


@pytest.mark.parametrize("name", ["resnet8", "resnet18.nobody", "hf-hub:somebody/model", ""])
def test_an_unknown_model_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"timm has no model '{name}': ") as caught:
        choose(Wanted(f"timm:{name}"), None, [], tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_network_one_line_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise socket.gaierror("no route")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    hub = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    message = r"cannot download .* of timm/resnet18\S+ from the Hugging .*`weights=FILE`$"
    with pytest.raises(WeightsNotFound, match=message) as caught:
        own("timm:resnet18", tmp_path)
    assert "\n" not in str(caught.value)
    # What timm or another program has downloaded is found.
    repository = hub / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    file = repository / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert own("timm:resnet18", tmp_path) == file
    with pytest.raises(WeightsNotFound, match="no weights of timm:test_vit_relpos"):
        own("timm:test_vit_relpos", tmp_path)


def test_it_cannot_be_trained_here(saved: Callable[..., Saved], tmp_path: Path) -> None:
    _, file = saved("test_resnet")
    with pytest.raises(ConfigError, match="timm:test_resnet cannot be trained here, only used"):
        check_trainable(chosen("test_resnet", file, tmp_path))
