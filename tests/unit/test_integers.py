"""Networks in 8-bit integers: what is rounded, how it is computed, what files may hold."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as parsed
from safetensors.numpy import save as serialised
from torch import Tensor, nn

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features import integers
from spocdb.features.backbones import find
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.integer_files import Arrays, Convolution, Pool, Stack, load, save
from spocdb.features.integers import Integers, can_use_integers
from spocdb.features.quantization import plain, quantize
from spocdb.features.recipes import check_recipe, make_recipe
from spocdb.features.runtimes import runtime_of
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import own
from spocdb.quantizing import quantize_into
from spocdb.records import Recipe, UInt8Array
from spocdb.settings import Settings
from tests.fixtures.foreign import chosen

CPU = torch.device("cpu")
PRESET = {
    "size": 64,
    "fit": "warp",
    "relu": False,
    "pooling": "sum",
    "sigma": 0.5,
    "interpolation": "bilinear",
    "mean": (127.5, 127.5, 127.5),
    "std": (127.5, 127.5, 127.5),
}


def made(layers: Sequence[Pool | Convolution], arrays: dict[str, Arrays]) -> Stack:
    return Stack("by hand", "last", layers, arrays, PRESET)


def arrays(weight: Any, scales: Any, bias: Any) -> Arrays:
    return Arrays(
        np.array(weight, np.int8), np.array(scales, np.float32), np.array(bias, np.float32)
    )


@pytest.fixture
def by_hand() -> Stack:
    """Return two convolutions of one pixel each, with a pooling between them."""
    first = arrays([[[[1]], [[0]], [[0]]], [[[0]], [[-2]], [[0]]]], [0.5, 0.25], [0.0, 1.0])
    second = arrays([[[[3]], [[-1]]]], [0.1], [-0.25])
    layers = (Convolution("a", 1, 0, 0.01), Pool(2, 2, True), Convolution("b", 1, 0, 0.02))
    return made(layers, {"a": first, "b": second})


@pytest.fixture
def file(tmp_path: Path, by_hand: Stack) -> Path:
    save(by_hand, tmp_path / "by_hand.safetensors")
    return tmp_path / "by_hand.safetensors"


@pytest.fixture(params=[True, False], ids=["integers", "float32"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in integers, or as a CPU without them does."""
    if request.param and not can_use_integers():
        pytest.skip("this CPU computes no integers faster")
    monkeypatch.setattr(integers, "can_use_integers", lambda: request.param)


@pytest.mark.usefixtures("way")
def test_a_network_by_hand(by_hand: Stack) -> None:
    red = [[0.1, 0.2, 0.3], [0.404, -0.5, 9.0], [0.0, 0.0, 0.096]]
    images = torch.zeros(1, 3, 3, 3)
    images[0, 0] = torch.tensor(red)
    images[0, 1] = 0.5
    # In hundredths: 10 20 30, 40 -50 127 (the largest), 0 0 10; half of it, and 1 - 0.25 * 1 * 2.
    # In steps of 0.02: 2.5 -> 2, 5, 7.5 -> 8, ... and 25; the largest of each 2 x 2.
    first = torch.tensor([[10.0, 32.0], [0.0, 2.0]])
    second = torch.full((2, 2), 38.0)
    expected = 0.1 * 0.02 * (3 * first - second) - 0.25
    feature_map = Integers(by_hand, False, CPU)(images)
    torch.testing.assert_close(feature_map[0, 0], expected)
    torch.testing.assert_close(Integers(by_hand, True, CPU)(images)[0, 0], expected.relu())


def photos(n: int, size: int) -> list[UInt8Array]:
    """Return smooth made-up pictures."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.random((n, 3, 6, 6)).astype(np.float32))
    large = nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return list((255 * large).permute(0, 2, 3, 1).to(torch.uint8).numpy())


def random_features(name: str) -> dict[str, Tensor]:
    """Return random weights of a network's `features`; its classifier would take 500 MB."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = find(name).network().get_submodule("features")
    features.to_empty(device="cpu")
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    return features.state_dict(prefix="features.")


def rounded(name: str, folder: Path, size: int) -> tuple[Extractor, Extractor]:
    """Return a network with its own or with random weights, and the same in integers."""
    weights = folder / f"{name}.pth"
    if find(name).packed:
        weights = own(name, folder)
    else:
        torch.save(random_features(name), weights)
    recipe = make_recipe(name, "0" * 64, size=size)
    bare = replace(recipe, relu=False)
    pictures = [_normalised(pixels, recipe) for pixels in photos(4, size)]
    with torch.inference_mode():
        stack = quantize(recipe, runtime_of(bare).load(bare, weights), pictures)
    save(stack, file := folder / f"{name}.safetensors")
    found = chosen("int8", file, folder)
    assert (found.size, found.relu, found.sigma) == (size, recipe.relu, recipe.sigma)
    assert found.fingerprint != recipe.fingerprint
    check_recipe(found)
    return load_extractor(recipe, weights, "cpu", "float32"), load_extractor(found, file, "cpu")


def _normalised(pixels: UInt8Array, recipe: Recipe) -> Tensor:
    values = (pixels.astype(np.float32) - recipe.mean) / recipe.std
    return torch.from_numpy(values)[None].permute(0, 3, 1, 2).float()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mini", 128),
        pytest.param("vgg16", 64, marks=pytest.mark.slow),
        pytest.param("vgg19", 64, marks=pytest.mark.slow),
    ],
)
def test_descriptors_are_near_those_of_float32(name: str, size: int, tmp_path: Path) -> None:
    full, small = rounded(name, tmp_path, size)
    pixels = photos(9, size)
    exact, ours = full.extract(pixels), small.extract(pixels)
    assert small.precision == "float32" and ours.shape == exact.shape
    cosines = (exact * ours).sum(1)
    assert cosines.min() > 0.99, cosines
    assert np.abs(exact - ours).max() > 1e-4, "it is rounded"
    for each, alone in zip(ours, map(small.describe, pixels), strict=True):
        np.testing.assert_allclose(alone, each, atol=1e-3)


@pytest.mark.skipif(not can_use_integers(), reason="this CPU computes no integers faster")
def test_both_ways_give_the_same_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fast = rounded("mini", tmp_path, 96)
    pixels = photos(5, 96)
    given = fast.extract(pixels)
    monkeypatch.setattr(integers, "can_use_integers", lambda: False)
    recipe = chosen("int8", tmp_path / "mini.safetensors", tmp_path)
    exact = load_extractor(recipe, tmp_path / "mini.safetensors", "cpu").extract(pixels)
    # Not a number differs, because the operations have the same order.
    np.testing.assert_allclose(given, exact, atol=1e-4)


WITHOUT_VNNI = """
import sys, torch
from pathlib import Path
from spocdb.features.integer_files import load
from spocdb.features.integers import Integers, can_use_integers
torch.manual_seed(0)
images = torch.rand(2, 3, 64, 64)
torch.save(Integers(load(Path(sys.argv[1])), False, torch.device("cpu"))(images), sys.argv[2])
print(can_use_integers())
"""


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["SSE41", "AVX2"])
def test_a_cpu_without_vnni_gives_the_same(isa: str, tmp_path: Path) -> None:
    """oneDNN limits itself to older instructions, some of which overflow."""
    rounded("vgg16", tmp_path, 64)
    given = []
    for name, limit in (("all", {}), (isa, {"ONEDNN_MAX_CPU_ISA": isa})):
        out = tmp_path / name
        words = [sys.executable, "-c", WITHOUT_VNNI, str(tmp_path / "vgg16.safetensors"), str(out)]
        subprocess.run(words, env={**os.environ, **limit}, check=True, timeout=120)
        given.append(torch.load(out).flatten(1))
    assert nn.functional.cosine_similarity(*given).min() > 0.9999


def test_the_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    rounded("mini", tmp_path, 64)
    first = (tmp_path / "mini.safetensors").read_bytes()
    rounded("mini", tmp_path, 64)
    assert (tmp_path / "mini.safetensors").read_bytes() == first


def test_rare_outliers_are_cut_off(tmp_path: Path) -> None:
    """A single outlier must not take the resolution of all others."""
    recipe = make_recipe("mini", "0" * 64, size=64, mean=(0.0,) * 3, std=(1.0,) * 3)
    identity = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.dirac_(identity.weight)
    trunk = nn.Sequential(identity, nn.ReLU(), nn.Conv2d(1, 4, 1))
    picture = torch.linspace(0, 10, 40_000).view(1, 1, 200, 200).repeat(1, 3, 1, 1)
    picture[0, 0, 0, 0] = 1000.0
    with torch.inference_mode():
        stack = quantize(recipe, trunk, [picture])
    assert stack.convolutions[0].step == pytest.approx(255 / 127)
    assert 10 <= 255 * stack.convolutions[1].step < 10.2


def test_batch_norms_are_merged() -> None:
    recipe = make_recipe("mini", "0" * 64, size=64)
    norm = nn.BatchNorm2d(8)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    picture = torch.randn(1, 3, 40, 40).clamp(-2, 2)
    with torch.inference_mode():
        stack = quantize(recipe, trunk, [picture])
        expected, given = trunk(picture), Integers(stack, False, CPU)(picture)
    assert nn.functional.cosine_similarity(expected.flatten(), given.flatten(), 0) > 0.999


@pytest.mark.parametrize(
    "trunk",
    [
        nn.Sequential(),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU(), nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Conv2d(6, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 6, (3, 1)), nn.ReLU(), nn.Conv2d(6, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 6, 3, padding="same"), nn.ReLU(), nn.Conv2d(6, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 6, 3, dilation=2), nn.ReLU(), nn.Conv2d(6, 4, 1)),
        nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, padding=1), nn.Conv2d(6, 4, 1)
        ),
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AvgPool2d(3), nn.Conv2d(6, 4, 1)),
    ],
    ids=str,
)
def test_other_networks_are_refused(trunk: nn.Module) -> None:
    with pytest.raises(ConfigError, match="is no plain stack of convolutions, which alone can"):
        plain(make_recipe("resnet50", ""), trunk)


@pytest.mark.parametrize("name", ["resnet50", "squeezenet1_1", "mobilenet_v1", "swin_t"])
def test_presets_of_other_forms_are_refused(name: str) -> None:
    recipe = replace(make_recipe(name, ""), relu=False)
    with torch.device("meta"):
        trunk = build_trunk(recipe, find(name).network().state_dict())
    with pytest.raises(ConfigError, match=f"{name} is no plain stack"):
        plain(recipe, trunk)


def test_without_a_readable_picture_nothing_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    recipe = make_recipe("mini", "0" * 64, size=64)
    given = (recipe, own("mini", tmp_path), [tmp_path / "bad.jpg"])
    with pytest.raises(NotEnoughSamples, match="there are no pictures to choose"):
        quantize_into(tmp_path / "out.safetensors", *given, Settings(None, tmp_path, tmp_path))
    assert not (tmp_path / "out.safetensors").exists()
    assert "left out: 1 unreadable file, such as" in caplog.text


def test_it_runs_in_its_own_precision_only(file: Path, tmp_path: Path) -> None:
    recipe = chosen("int8", file, tmp_path)
    with pytest.raises(ConfigError, match="int8 computes in the precision of its file"):
        load_extractor(recipe, file, "cpu", "bfloat16")


Damage = Callable[[dict[str, Any], dict[str, Any]], object]

DAMAGES: dict[str, Damage] = {
    "another version": lambda about, _: about.update(format="spocdb-int8-9"),
    "no layers": lambda about, _: about.update(layers=[]),
    "layers of another kind": lambda about, _: about["layers"].append({"Residual": {}}),
    "a layer without fields": lambda about, _: about["layers"].append({"Pool": {}}),
    "a stride of zero": lambda about, _: about["layers"][1]["Pool"].update(stride=0),
    "a window as a text": lambda about, _: about["layers"][1]["Pool"].update(kernel="2"),
    "a step below zero": lambda about, _: about["layers"][0]["Convolution"].update(step=-1.0),
    "a step without end": lambda about, _: about["layers"][0]["Convolution"].update(step=1e999),
    "a negative padding": lambda about, _: about["layers"][0]["Convolution"].update(padding=-1),
    "a size as a text": lambda about, _: about["preset"].update(size="64"),
    "a mean as a number": lambda about, _: about["preset"].update(mean=0.5),
    "a prior as a text": lambda about, _: about["preset"].update(sigma="wide"),
    "a recipe without a field": lambda about, _: about["preset"].pop("fit"),
    "an array less": lambda _, tensors: tensors.pop("b.bias"),
    "an array more": lambda _, tensors: tensors.update(c=np.zeros(1, np.float32)),
    "weights in float32": lambda _, tensors: tensors.update(
        {"a.weight": tensors["a.weight"].astype(np.float32)}
    ),
    "weights of more inputs": lambda _, tensors: tensors.update(
        {"b.weight": np.ones((1, 3, 1, 1), np.int8)}
    ),
    "weights of no square": lambda _, tensors: tensors.update(
        {"b.weight": np.ones((1, 2, 1, 2), np.int8)}
    ),
    "weights that are zero": lambda _, tensors: tensors.update(
        {"b.weight": np.zeros((1, 2, 1, 1), np.int8)}
    ),
    "a bias without end": lambda _, tensors: tensors.update(
        {"b.bias": np.full(1, np.inf, np.float32)}
    ),
    "a scale of zero": lambda _, tensors: tensors.update({"b.scales": np.zeros(1, np.float32)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(damage: Damage, file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["about"])
    tensors = parsed(data)
    damage(about, tensors)
    file.write_bytes(serialised(tensors, metadata={"about": json.dumps(about)}))
    with pytest.raises(ConfigError, match="no network in integers") as caught:
        chosen("int8", file, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, None], ids=["", "json", "ff", "cut"])
def test_other_files_are_refused_in_one_line(
    data: bytes | None, file: Path, tmp_path: Path
) -> None:
    file.write_bytes(file.read_bytes()[:-10] if data is None else data)
    with pytest.raises(ConfigError, match=r"safetensors is broken, or no network in integers"):
        chosen("int8", file, tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the weights .*: No such file"):
        load(tmp_path / "gone.safetensors")
