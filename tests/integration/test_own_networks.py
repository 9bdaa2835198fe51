"""Networks of the user's own through the whole program: the guide's commands; what is refused."""

import json
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features import backbones, offered
from tests.fixtures.graphs import write_onnx
from tests.fixtures.opened import Database

Program = Callable[..., Any]

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "own-network.md").read_text()


def write_script(file: Path) -> None:
    """Write a module that gives vectors, as SSCD's does."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 24)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(layers), file)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def home(
    tmp_path: Path, make_photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Return a folder with the files of the guide, and its package installed."""
    shutil.copy(make_photos(6, "images") / "0002.jpg", tmp_path / "query.jpg")
    write_onnx(tmp_path / "model.onnx")
    write_script(tmp_path / "model.pt")
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "test_vit.safetensors")
    site = tmp_path / "site"
    site.mkdir()
    (source,), (entry,) = blocks("python"), blocks("toml")
    (site / "tiny_network.py").write_text(source)
    (site / "tiny_network-1.0.dist-info").mkdir()
    (site / "tiny_network-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tiny_network\nVersion: 1.0\n"
    )
    lines = entry.replace('[project.entry-points."spocdb.backbones"]', "[spocdb.backbones]")
    (site / "tiny_network-1.0.dist-info" / "entry_points.txt").write_text(lines.replace('"', ""))
    monkeypatch.syspath_prepend(str(site))
    forget()
    network = import_module("tiny_network").network()
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    yield tmp_path
    sys.modules.pop("tiny_network", None)
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Let the installed packages be listed again."""
    invalidate_caches()
    offered._all.cache_clear()
    backbones._offered.cache_clear()


def test_the_commands_of_the_guide(home: Path, spocdb: Program, url: str) -> None:
    output = ""
    lines = "".join(blocks("console")).splitlines()
    assert len(lines) == 9
    for line in lines:
        program, *words = line.removeprefix("$ ").split()
        assert program == "spocdb"
        done = spocdb(*words, cwd=home)
        assert done.returncode == 0, done.stderr
        output += done.stdout
    assert "0.000" in output and "backbone onnx" in output and "layer features" in output
    assert re.search(r"^tiny +32 +128 ", output, re.MULTILINE), "a preset of the package"
    told = json.loads(spocdb("extractors", "--json", cwd=home).stdout)["stored"]
    names = [each["name"] for each in told]
    for prefix in ("onnx-", "torchscript-", "timm:test_vit-", "tiny-"):
        assert any(name.startswith(prefix) for name in names)
    assert len(set(names)) == 5


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_onnx(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_an_extractor_of_a_file_goes_everywhere(
    db: Database, other: Database, model: Path, make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_photos(30)
    db.ingest(folder, collection="photos", extractor=f"onnx:{model}", size=64)
    (known,) = db.extractors()
    assert re.fullmatch("onnx-[0-9a-f]{8}", known.name)
    nearest = [hit.path for hit in db.search(folder / "0004.jpg", 3)]
    assert nearest[0] == str(folder / "0004.jpg")
    assert db.ingest(folder, collection="again", extractor=known.name).n_reused == 30

    number = db.pca.fit("photos", dim=8, regularisation=0.1)
    db.pca.export(number, file := tmp_path / "pca.safetensors")
    recipe = other.pca.show(other.pca.import_(file))[0].extractor
    assert recipe == known.name
    other.ingest(folder, collection="photos", extractor=known.name)
    assert [hit.path for hit in other.search(folder / "0004.jpg", 3)] == nearest

    write_script(script := tmp_path / "model.pt")
    db.reembed(f"torchscript:{script}", collection="photos", size=64)
    assert db.describe("photos").recipe.backbone == "torchscript"
    assert db.search(folder / "0004.jpg", 1, collection="photos")[0].path == nearest[0]


def test_another_machine_without_the_file_says_which_one_it_needs(
    shop: Any, model: Path, tmp_path: Path
) -> None:
    replace(shop, recipe={"extractor": f"onnx:{model}", "size": 64}).attach()
    settings = replace(shop.db.settings, cache_dir=tmp_path / "elsewhere")
    with Database(settings) as elsewhere:
        (known,) = elsewhere.extractors()
        assert known.dim == 16 and known.recipe.channels == 16
        missing = f"the weights {known.recipe.weights[:12]} of onnx are not on this machine: give"
        with pytest.raises(WeightsNotFound, match=missing):
            elsewhere.tables.work(once=True)
        assert shop.work().n_new == 6
        query = shop.folder / "0000.jpg"
        with pytest.raises(WeightsNotFound, match=missing):
            elsewhere.search(query, 1)
        # As plain weights it may not be opened as a program; nor by a worker.
        with pytest.raises(WeightsNotFound, match=r"give the file with `weights=onnx:FILE`"):
            elsewhere.search(query, 1, weights=model)
        elsewhere.tables.work(once=True, weights=[f"onnx:{model}"])
        assert elsewhere.search(query, 1)[0].distance < 1e-3
    write_onnx(model, seed=1)
    with Database(settings) as elsewhere, pytest.raises(WeightsNotFound, match=missing):
        elsewhere.search(query, 1)


def test_the_command_line_says_what_is_wrong_in_its_own_words(
    spocdb: Program, url: str, model: Path, make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_photos(2)
    refused = {
        ("--extractor", "onnx"): "needs a file: give it with --extractor onnx:FILE",
        ("--extractor", "onnx:gone"): "cannot read the weights gone: No such file",
        ("--extractor", f"onnx:{folder / '0000.jpg'}"): "is broken, or no ONNX file",
        ("--extractor", "pytorch:x"): "unknown extractor 'pytorch:x': one of vgg19",
        ("--extractor", f"onnx:{model}", "--weights", str(model)): "leave out --weights",
        ("--std", "0.2,0.2,0.2"): "--std must be three numbers from 1 to 255",
        ("--mean", "a,b,c"): "'a,b,c' is not R,G,B",
    }
    for options, message in refused.items():
        done = spocdb("ingest", str(folder), *options)
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr
        assert message in " ".join(done.stderr.replace("│", " ").split()), done.stderr


def test_training_refuses_what_it_cannot_train(
    spocdb: Program, url: str, model: Path, make_photos: Callable[..., Path]
) -> None:
    folder = make_photos(2)
    options = (str(folder), "--out", "tuned.safetensors")
    tuned = spocdb("train", "finetune", *options, "--extractor", f"onnx:{model}")
    assert tuned.returncode == 1 and "onnx cannot be trained here, only used" in tuned.stderr
    for student in (f"onnx:{model}", "torchscript", "timm:test_vit"):
        distilled = spocdb("train", "distill", *options, "--teacher", "mini", "--student", student)
        assert distilled.returncode == 1 and len(distilled.stderr.splitlines()) == 1
        assert "cannot be trained here" in distilled.stderr or "needs a file" in distilled.stderr


def test_a_broken_package_stops_neither_help_nor_commands(
    spocdb: Program, url: str, home: Path, make_photos: Callable[..., Path]
) -> None:
    sys.modules.pop("tiny_network")
    (home / "site" / "tiny_network.py").write_text("import no_such_thing\n")
    forget()
    assert spocdb("--help").returncode == 0
    done = spocdb("extractors")
    assert done.returncode == 0 and "mini" in done.stdout
    assert "the extractor tiny of the package tiny_network cannot be loaded" in done.stderr
    assert spocdb("ingest", str(home / "images"), "--extractor", "mini").returncode == 0
    refused = spocdb("ingest", str(home / "images"), "--extractor", "tiny", "-c", "tiny")
    assert refused.returncode == 1 and "No module named 'no_such_thing'" in refused.stderr


def test_a_file_is_a_teacher(db: Database, model: Path) -> None:
    recipe = db.recipe(f"onnx:{model}", size=64)
    assert db.extractor(f"onnx:{model}", size=64).dim == 16 == recipe.channels
    with pytest.raises(ConfigError, match="computes in the precision of its file"):
        db.extractor(f"onnx:{model}", precision="bfloat16", size=64)
