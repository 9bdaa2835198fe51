"""A projection as a file: safetensors or NumPy's npz, with the recipe that it belongs to."""

import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.records import Projection, Recipe

ARRAYS = {
    "mean": np.float32,
    "components": np.float32,
    "scale": np.float64,
    "singular_values": np.float64,
    "explained": np.float64,
}


def save(file: Path, projection: Projection, recipe: Recipe, fitted_on: dict[str, Any]) -> None:
    """Write a projection to a .safetensors or .npz file. Raises ConfigError."""
    arrays = {name: np.ascontiguousarray(getattr(projection, name)) for name in ARRAYS}
    about = json.dumps(
        {
            "recipe": asdict(recipe),
            "n_samples": projection.n_samples,
            "settings": projection.settings,
            "fitted_on": fitted_on,
            "fingerprint": projection.fingerprint,
        }
    )
    from safetensors import SafetensorError

    # Under another name first: a full disk must leave neither half a file nor less than there was.
    fresh = file.with_name(f"{file.stem}.{uuid.uuid4().hex}{file.suffix}")
    try:
        if _is_npz(file):
            np.savez(fresh, allow_pickle=False, about=np.array(about), **arrays)
        else:
            from safetensors.numpy import save_file

            save_file(arrays, fresh, metadata={"about": about})
        fresh.replace(file)
    # safetensors has an error of its own for a folder that is not there.
    except (OSError, SafetensorError) as exc:
        raise ConfigError(f"cannot write {file}: {getattr(exc, 'strerror', exc) or exc}") from exc
    finally:
        fresh.unlink(missing_ok=True)


def load(file: Path) -> tuple[Projection, Recipe, dict[str, Any]]:
    """Read a projection, its recipe and what it was fitted on.

    Raises ConfigError for a file that is no projection, or whose numbers were changed.
    """
    read = _read_npz if _is_npz(file) else _read_safetensors
    try:
        arrays, text = read(file)
        about = json.loads(text)
        projection = Projection(
            **{name: arrays[name].astype(kind) for name, kind in ARRAYS.items()},
            n_samples=about["n_samples"],
            settings=about["settings"],
        )
        recipe = Recipe(**about["recipe"])
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror or exc}") from exc
    # Whatever the two formats' parsers raise on a file that is something else.
    except Exception as exc:
        raise ConfigError(f"{file} is no projection: export one with `spocdb pca export`") from exc
    if not len(projection.components):
        raise ConfigError(f"{file} holds no components: export a fitted projection")
    if projection.fingerprint != about["fingerprint"]:
        raise ConfigError(f"{file} was changed since it was exported: export it again")
    return projection, recipe, about["fitted_on"]


def _is_npz(file: Path) -> bool:
    if file.suffix not in (".npz", ".safetensors"):
        raise ConfigError(f"{file}: the name must end in .safetensors or .npz")
    return file.suffix == ".npz"


def _read_npz(file: Path) -> tuple[dict[str, Any], str]:
    # Opened here: NumPy leaves a file open that is no zip.
    with open(file, "rb", opener=regular) as stream, np.load(stream, allow_pickle=False) as data:
        return dict(data), str(data["about"])


def _read_safetensors(file: Path) -> tuple[dict[str, Any], str]:
    from safetensors import safe_open

    # Its own errors say less of a missing file, and it would wait for a pipe.
    open(file, "rb", opener=regular).close()
    with safe_open(file, framework="numpy") as data:
        return {name: data.get_tensor(name) for name in ARRAYS}, data.metadata()["about"]
