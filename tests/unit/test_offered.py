"""Networks of other packages: installed for real, as a folder of metadata beside a module."""

import logging
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest
import torch

from spocdb.errors import ConfigError, UnknownChoice
from spocdb.features import backbones, offered
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, make_recipe
from spocdb.features.selection import Wanted, choose
from spocdb.training import start

MODULE = """
from functools import partial

from spocdb.features.declarations import Backbone, Family
from spocdb.features.cuts import cut_sequence


def network():
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(OrderedDict(features=nn.Sequential(nn.Conv2d(3, 6, 8, stride=8))))


PLAIN = Backbone(
    name="acme",
    layers={"last": 6},
    network=network,
    cut=partial(cut_sequence, {"last": 0}),
    size=64,
    relu=False,
    sigma=None,
)
VGG = Backbone(name="vgg19", layers={"last": 6})
ELSEWHERE = Backbone(name="other", layers={"last": 6})
NUMBER = 5


class Means:
    def load(self, recipe, weights):
        from torch import nn

        return nn.AvgPool2d(int(recipe.backbone.partition(":")[2]))

    def engine(self, trunk, dtype, device):
        return trunk


def look(family, name, file, size):
    side = int(name.partition(":")[2])
    return family.made(name, "mean", 3, range(side, 4097, side), size=8 * side)


FAMILY = Family(prefix="means", of_files=False, look=look, runtime=Means())
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a package with entry points; they go after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules: list[str] = []

    def forget() -> None:
        invalidate_caches()
        offered._all.cache_clear()
        backbones._offered.cache_clear()

    def install(package: str, source: str = MODULE, **entries: str) -> None:
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}:{value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[spocdb.backbones]", *lines]))
        modules.append(package)
        forget()

    yield install
    for name in modules:
        sys.modules.pop(name, None)
    monkeypatch.undo()
    forget()


def test_a_package_brings_an_extractor(install: Install, tmp_path: Path) -> None:
    install("acme_net", acme="PLAIN")
    assert "acme" in backbones.choices() and "acme" not in backbones.names()
    assert "acme_net" not in sys.modules, "listing imports nothing"
    network = backbones.find("acme").network()
    torch.save(network.state_dict(), file := tmp_path / "acme.pth")
    recipe = choose(Wanted("acme", file), None, [], tmp_path / "cache")
    assert (recipe.backbone, recipe.layer, channels(recipe)) == ("acme", "last", 6)
    assert backbones.presets()[-1].name == "acme"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (raw,) = load_extractor(recipe, file, "cpu", "float32").extract([pixels])
    with torch.inference_mode():
        images = torch.from_numpy((pixels - recipe.mean) / recipe.std).permute(2, 0, 1).float()
        summed = network(images[None]).sum(dim=(2, 3))[0]
    np.testing.assert_allclose(raw, summed / summed.norm(), atol=1e-3)
    start.check_trainable(recipe)
    assert all(p.requires_grad for p in start.build(recipe, file, seed=0).parameters())


def test_a_package_brings_a_family(install: Install, tmp_path: Path) -> None:
    install("acme_net", means="FAMILY")
    (tmp_path / "nothing").touch()
    wanted = Wanted("means:16", tmp_path / "nothing")
    recipe = choose(wanted, None, [], tmp_path / "cache")
    assert (recipe.backbone, recipe.size, recipe.sizes) == ("means:16", 128, (16, 4096, 16))
    pixels = np.full((128, 128, 3), 255, np.uint8)
    (raw,) = load_extractor(recipe, tmp_path / "nothing", "cpu").extract([pixels])
    expected = (255 - np.array(recipe.mean)) / recipe.std
    np.testing.assert_allclose(raw, expected / np.linalg.norm(expected), atol=1e-3)
    assert [preset.name for preset in backbones.presets()] == list(backbones.names())


@pytest.mark.parametrize(
    ("source", "value", "why"),
    [
        ("raise RuntimeError('out of\\norder')", "PLAIN", r"RuntimeError: out of\\norder"),
        ("import no_such_thing", "PLAIN", "ModuleNotFoundError: No module named 'no_such_thing'"),
        (MODULE, "GONE", "AttributeError: .*'GONE'"),
        (MODULE, "NUMBER", "it is of type int, not a Backbone or a Family"),
        (MODULE, "ELSEWHERE", "it is called other there"),
    ],
)
def test_a_broken_package_is_one_line_and_the_others_go_on(
    source: str, value: str, why: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("acme_net", source, acme=value)
    message = rf"the extractor acme of the package acme_net cannot be loaded \({why}.*\): repair or"
    with pytest.raises(ConfigError, match=message):
        backbones.find("acme")
    with caplog.at_level(logging.WARNING):
        assert [preset.name for preset in backbones.presets()] == list(backbones.names())
    (record,) = caplog.records
    assert "of the package acme_net cannot be loaded" in record.message


def test_a_name_of_spocdb_is_not_taken_over(install: Install) -> None:
    install("acme_net", vgg19="VGG", timm="FAMILY")
    assert backbones.find("vgg19").layer == "conv5_4"
    assert list(backbones.choices()).count("vgg19") == 1
    assert "acme_net" not in sys.modules


def test_two_packages_with_one_name_are_told(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("b_net", acme="PLAIN")
    install("a_net", acme="PLAIN")
    backbones.find("acme")
    assert "the extractor acme is of a_net, not of b_net" in caplog.text
    assert "b_net" not in sys.modules


def test_a_package_that_is_gone_is_an_unknown_extractor(install: Install) -> None:
    with pytest.raises(UnknownChoice, match=r"unknown extractor 'acme': one of vgg19, .*onnx:FILE"):
        make_recipe("acme", "")
    install("acme_net", acme="PLAIN")
    make_recipe("acme", "")
    with pytest.raises(UnknownChoice, match="unknown extractor 'acme:5'"):
        make_recipe("acme:5", "")
