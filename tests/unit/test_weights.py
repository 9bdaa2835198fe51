import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import safetensors.torch
import torch

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import load_state_dict, locate, own, remember, sha256_of


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.pth"
    torch.save({"layer.weight": torch.arange(6.0).view(2, 3)}, path)
    return path


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == hashlib.sha256(b"abc").hexdigest()


def test_a_remembered_file_is_located(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sha256 = remember(Path("net.pth"), tmp_path / "cache")
    assert sha256 == sha256_of(weights)
    assert locate(make_recipe("vgg19", sha256), tmp_path / "cache") == weights


def test_remembering_again_follows_the_file_that_moved(weights: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    recipe = make_recipe("vgg19", remember(weights, cache))
    moved = weights.rename(tmp_path / "moved.pth")
    with pytest.raises(WeightsNotFound, match=r"of vgg19 are not on this machine.*`weights=FILE`"):
        locate(recipe, cache)
    remember(moved, cache)
    assert locate(recipe, cache) == moved
    assert [path.name for path in (cache / "weights").iterdir()] == [recipe.weights]


def test_remembering_what_was_located_makes_no_loop(weights: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    sha256 = remember(weights, cache)
    assert remember(cache / "weights" / sha256, cache) == sha256
    assert locate(make_recipe("vgg19", sha256), cache) == weights


def test_a_file_that_changed_is_not_located(weights: Path, tmp_path: Path) -> None:
    recipe = make_recipe("vgg19", remember(weights, tmp_path / "cache"))
    weights.write_bytes(b"other")
    with pytest.raises(WeightsNotFound, match=recipe.weights[:12]):
        locate(recipe, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_names_its_setting(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match="SPOCDB_CACHE_DIR"):
        remember(weights, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_state_dict_is_loaded_whatever_its_format(kind: str, tmp_path: Path) -> None:
    tensors, path = {"a": torch.eye(2), "b": torch.ones(3)}, tmp_path / "weights.bin"
    if kind == "safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    loaded = load_state_dict(path)
    assert list(loaded) == ["a", "b"]
    assert torch.equal(loaded["a"], torch.eye(2))


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run by the weights file",)


def test_code_in_a_weights_file_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hostile.pth"
    torch.save({"a": Hostile()}, path)
    with pytest.raises(ConfigError, match=r"hostile\.pth is broken, or unsafe to load") as caught:
        load_state_dict(path)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04 broken", b"\x08\0\0\0\0\0\0\0{broken", pickle.dumps(1)]
)
def test_a_broken_file_is_a_config_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.pth") as caught:
        load_state_dict(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[torch.eye(2)], {"model": {"a": torch.eye(2)}}, {"epoch": 3}])
def test_only_a_dict_of_tensors_will_do(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(ConfigError, match="holds no state dict"):
        load_state_dict(tmp_path / "checkpoint.pth")


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    for function in (load_state_dict, sha256_of):
        with pytest.raises(ConfigError, match=r"cannot read the weights .*No such file"):
            function(tmp_path / "nowhere.pth")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder


@pytest.mark.parametrize("reason", ["no route", OSError(113, "no route")])
def test_no_network_is_one_line_with_the_url(
    reason: str | OSError, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: object) -> None:
        raise URLError(reason)

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    message = r"cannot download https://\S+/vgg19-dcbb9e9d\.pth \(no route\): .*`weights=FILE`$"
    with pytest.raises(WeightsNotFound, match=message):
        own("vgg19", tmp_path / "cache")
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []


def test_a_download_with_the_wrong_hash_is_refused(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = tmp_path / "forged"
    forged.write_bytes(b"forged")

    def answer(request: object) -> object:
        return urlopen(forged.as_uri())

    monkeypatch.setattr(torch.hub, "urlopen", answer)
    with pytest.raises(WeightsNotFound, match="invalid hash value"):
        own("vgg19", tmp_path / "cache")
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []


@pytest.mark.parametrize("place", ["hub/checkpoints", "cache/downloads"])
def test_what_is_here_is_not_downloaded(place: str, hub: Path, tmp_path: Path) -> None:
    file = tmp_path / place / "resnet50-0676ba61.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    assert own("resnet50", tmp_path / "cache") == file


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_not_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(path := tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"cannot read the weights .*: it is no file"):
        remember(path, tmp_path / "cache")
