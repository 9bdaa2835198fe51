"""What is wrong with a TorchScript or ONNX file, or its recipe, is said in one line."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from torch import Tensor, nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import check_recipe
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import locate, remember
from spocdb.training.start import check_trainable
from tests.fixtures.foreign import (
    Maps,
    Scripted,
    Tokens,
    chosen,
)
from tests.fixtures.graphs import convolution, graph


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
    with pytest.raises(ConfigError, match=f"{name}: names no file: write {name}:FILE"):
        choose(Wanted(f"{name}:"), None, [], tmp_path)
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


def test_plain_weights_are_never_opened_as_a_program(scripted: Scripted, tmp_path: Path) -> None:
    """A recipe comes from a database, whose writers know the sha256 of many files."""
    recipe = chosen("torchscript", scripted(Maps()), tmp_path / "mine", size=64)
    other = tmp_path / "other"
    assert remember(tmp_path / "Maps.pt", other) == recipe.weights
    with pytest.raises(WeightsNotFound, match="give the file with `weights=torchscript:FILE`"):
        locate(recipe, other)
    remember(Path(f"torchscript:{tmp_path / 'Maps.pt'}"), other)
    assert locate(recipe, other) == tmp_path / "Maps.pt"


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
