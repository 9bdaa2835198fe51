"""Weights files and codebooks: known by their sha256, remembered by a link, run no code."""

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.backbones import find, names
from spocdb.images.regular import regular
from spocdb.records import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file. Raises ConfigError if it cannot be read."""
    # A pipe would block in open, and a device never end.
    if path.exists() and not path.is_file():
        raise ConfigError(f"cannot read the weights {path}: it is no file")
    try:
        with open(path, "rb", opener=regular) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read the weights {path}: {error.strerror or error}") from error


def remember(path: Path, cache_dir: Path) -> str:
    """Note where a weights file lies, so that `locate` finds it; return its sha256.

    Only a link is kept: the file itself stays where it is.
    """
    sha256 = sha256_of(path)
    link = _link(sha256, cache_dir)
    # A link of another name, renamed: whoever looks meanwhile finds the old one or the new one.
    fresh = link.with_name(f"{sha256}.{uuid.uuid4().hex}")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh.symlink_to(os.path.realpath(path))
        fresh.replace(link)
    except OSError as error:
        raise ConfigError(_unwritable(link.parent, error)) from error
    return sha256


def locate(recipe: Recipe, cache_dir: Path) -> Path:
    """Return the remembered file of a recipe's weights, hashed anew, as files change under a link.

    Raises WeightsNotFound if it is gone or its bytes are others.
    """
    what = f"the weights {recipe.weights[:12]} of {recipe.backbone} are"
    return _locate(recipe.weights, cache_dir, what, "weights")


def locate_codebook(recipe: Recipe, cache_dir: Path) -> Path | None:
    """Return the remembered file of a recipe's codebook; None for a recipe without one.

    Raises WeightsNotFound as `locate` does.
    """
    if recipe.codebook is None:
        return None
    what = f"the codebook {recipe.codebook[:12]} of {recipe.name} is"
    return _locate(recipe.codebook, cache_dir, what, "codebook")


def _locate(sha256: str, cache_dir: Path, what: str, field: str) -> Path:
    link = _link(sha256, cache_dir)
    if link.is_file() and sha256_of(link) == sha256:
        return link.readlink()
    for packed in filter(None, (find(name).packed for name in names())):
        if sha256_of(packed) == sha256:
            return packed  # as on a worker's machine, where nobody named it
    raise WeightsNotFound(
        f"{what} not on this machine: give the file with `{field}=FILE`", field=field
    )


def own(backbone: str, cache_dir: Path) -> Path:
    """Return the file of a backbone's own weights: spocdb brings them, or they are downloaded.

    Raises:
        ConfigError: There is no such backbone, or the cache cannot be written to.
        WeightsNotFound: Nobody offers any, or they would have to be downloaded and cannot be.
    """
    found = find(backbone)
    if found.packed:
        return _unpacked(found.packed, cache_dir)
    if found.url:
        return _downloaded(found.url, cache_dir)
    raise WeightsNotFound(f"nobody offers weights of {backbone}: give a file of your own")


def _unpacked(packed: Path, cache_dir: Path) -> Path:
    """Copy a file of the package to the cache, where a newer spocdb with newer ones leaves it."""
    name = f"{packed.stem}-{sha256_of(packed)[:8]}{packed.suffix}"
    file = cache_dir / "downloads" / name
    if not file.is_file():
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(packed, fresh)
            fresh.replace(file)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)  # half of it, on a full disk
            raise ConfigError(_unwritable(file.parent, error)) from error
    return file


def _downloaded(url: str, cache_dir: Path) -> Path:
    """Return the file at a URL, downloaded unless it is here already.

    It is looked for in torch's own cache and in `cache_dir`, where a download stays.
    """
    import torch

    name = url.rpartition("/")[2]
    shared, file = Path(torch.hub.get_dir(), "checkpoints", name), cache_dir / "downloads" / name
    if shared.is_file():
        return shared
    if not file.is_file():
        _fetch(url, file)
    return file


def load_state_dict(path: Path) -> "dict[str, Tensor]":
    """Load a state dict of tensors, on the CPU: torch.save's formats or safetensors.

    Raises ConfigError for a missing or broken file, for one that holds anything else, and for one
    that only loads by running the code in it.
    """
    import torch

    state_dict = _load(path)
    if not isinstance(state_dict, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state_dict.items()
    ):
        raise ConfigError(f"{path} holds no state dict: save one with torch.save({_EXAMPLE})")
    return state_dict


_EXAMPLE = "model.state_dict(), FILE"


def _load(path: Path) -> Any:
    import safetensors.torch
    import torch

    try:
        if _is_safetensors(path):
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"cannot read the weights {path}: {error.strerror or error}") from error
    # A broken or hostile file makes the unpickler raise anything at all.
    except Exception as error:
        raise ConfigError(
            f"{path} is broken, or unsafe to load: get it anew, "
            f"or save its tensors alone with torch.save({_EXAMPLE})"
        ) from error


def _is_safetensors(path: Path) -> bool:
    # Eight bytes of length, then JSON; torch's own files begin with a zip's or a pickle's mark.
    with open(path, "rb", opener=regular) as stream:
        return stream.read(9)[8:] == b"{"


def _fetch(url: str, file: Path) -> None:
    import torch

    sha256_prefix = file.stem.rpartition("-")[2]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=sha256_prefix)
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsNotFound(
            f"cannot download {url} ({_reason(error)}): "
            "use `extractor='mini'`, which is here, or give a file with `weights=FILE`"
        ) from error


def _reason(error: Exception) -> str:
    # An HTTPError says its number itself; any other URLError puts brackets around its reason.
    why = error.reason if type(error) is URLError else error
    return " ".join(str(getattr(why, "strerror", None) or why).split())


def _unwritable(folder: Path, error: OSError) -> str:
    return f"cannot write to {folder} ({error.strerror}): set SPOCDB_CACHE_DIR"


def _link(sha256: str, cache_dir: Path) -> Path:
    return cache_dir / "weights" / sha256
