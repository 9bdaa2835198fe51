"""Projection files: safetensors or NumPy's npz, with the recipe that the projection belongs to."""

import json
import logging
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from spocdb import outfiles
from spocdb.errors import ConfigError
from spocdb.features.recipes import channels, check_recipe
from spocdb.images.regular import regular
from spocdb.records import Projection, Recipe
from spocdb.soundness import MOST_DIMS, ORTHOGONAL_TOLERANCE, fault, skew

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".npz")
ARRAYS = {
    "mean": np.float32,
    "components": np.float32,
    "scale": np.float64,
    "singular_values": np.float64,
    "explained": np.float64,
}
# The components of the largest projection, and room for the other arrays and the JSON.
MOST_BYTES = 4 * MOST_DIMS * MOST_DIMS + 4 * 1024**2
# What a projection was fitted on.
COUNTS = ("n_images", "n_classes", "n_pairs")
# The settings that fits write, with a check of each value, and which of them each kind has.
SETTINGS: Mapping[str, Callable[[Any], bool]] = {
    "dim": lambda value: type(value) is int,
    "whiten": lambda value: type(value) is bool,
    "centre": lambda value: type(value) is bool,
    "regularisation": lambda value: type(value) in (int, float) and value >= 0,
    "labels": lambda value: type(value) is str,
    "loss": lambda value: type(value) is str,
    **dict.fromkeys(
        ("views", "views_seed", "epochs", "best_epoch", "batch_size", "seed"),
        lambda value: type(value) is int,
    ),
    **dict.fromkeys(
        ("learning_rate", "weight_decay", "held_out"), lambda value: type(value) in (int, float)
    ),
}
FROM_LABELS, FROM_VIEWS = {"labels"}, {"views", "views_seed"}
OF_PCA = {"dim", "whiten", "centre", "regularisation"}
OF_DISCRIMINATIVE = {"dim", "regularisation"}
OF_HEAD = {"dim", "loss", "held_out", "epochs", "best_epoch", "batch_size", "seed"} | {
    "learning_rate",
    "weight_decay",
}
OF_KIND = {
    "pca": [OF_PCA],
    "discriminative": [OF_DISCRIMINATIVE | pairs for pairs in (FROM_LABELS, FROM_VIEWS)],
    "head": [OF_HEAD | pairs for pairs in (FROM_LABELS, FROM_VIEWS)],
}


def save(file: Path, projection: Projection, recipe: Recipe, fitted_on: dict[str, Any]) -> None:
    """Write a projection to a .safetensors or .npz file.

    Raises:
        ConfigError: The name has another suffix, or the file cannot be written.
    """
    arrays = {name: np.ascontiguousarray(getattr(projection, name)) for name in ARRAYS}
    about = json.dumps(
        {
            "recipe": asdict(recipe),
            "kind": projection.kind,
            "n_samples": projection.n_samples,
            "settings": projection.settings,
            "fitted_on": fitted_on,
            "fingerprint": projection.fingerprint,
        }
    )
    outfiles.check(file, SUFFIXES)
    with outfiles.replaced(file) as fresh:
        if _is_npz(file):
            # No allow_pickle=False here: older NumPy versions would store it as an array.
            np.savez(fresh, about=np.array(about), **arrays)  # type: ignore[arg-type]
        else:
            from safetensors.numpy import save

            # save_file would create a file that only its owner can read.
            fresh.write_bytes(save(arrays, metadata={"about": about}))


def load(file: Path) -> tuple[Projection, Recipe, dict[str, Any]]:
    """Read a projection, its recipe and what it was fitted on.

    Every number is checked. Components of a PCA that are not orthogonal are logged as a warning.

    Raises:
        ConfigError: The file is no projection, was changed, or holds numbers that cannot be used.
    """
    read = _read_npz if _is_npz(file) else _read_safetensors
    try:
        _check_file(file)
        arrays, text = read(file)
        projection, recipe, fitted_on, fingerprint = _assembled(arrays, text)
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror or exc}") from exc
    except ConfigError:
        raise
    # The two parsers can raise any exception on a file of another format.
    except Exception as exc:
        raise ConfigError(f"{file} is no projection: export one with `db.pca.export(...)`") from exc
    if not len(projection.components):
        raise ConfigError(f"{file} holds no components: export a fitted projection")
    check_recipe(recipe)
    if found := fault(projection, channels(recipe)):
        raise ConfigError(f"{file} cannot be used: {found}: export it again")
    if projection.fingerprint != fingerprint:
        raise ConfigError(f"{file} was changed since it was exported: export it again")
    if projection.kind == "pca" and (cosine := skew(projection)) > ORTHOGONAL_TOLERANCE:
        log.warning(
            "warning: the components of %s are not orthogonal (cosines up to "
            "%.2g): distances are not those of a PCA",
            file,
            cosine,
        )
    return projection, recipe, fitted_on


def _assembled(
    arrays: Mapping[str, Any], text: str
) -> tuple[Projection, Recipe, dict[str, Any], str]:
    """Build the records. A file of another structure raises KeyError, TypeError or ValueError."""
    about = json.loads(text, parse_constant=_refuse)
    for name, kind in ARRAYS.items():
        if arrays[name].dtype != kind:
            raise TypeError(f"{name} is {arrays[name].dtype}")
    projection = Projection(
        **{name: arrays[name] for name in ARRAYS},
        n_samples=about["n_samples"],
        settings=about["settings"],
        # Release 0.1.0 wrote PCAs only.
        kind=about.get("kind", "pca"),
    )
    if type(projection.n_samples) is not int or projection.n_samples >= 2**63:
        raise TypeError("n_samples is no count")
    _check_settings(projection)
    fitted_on = about["fitted_on"]
    names = fitted_on.get("collections", [])
    if not all(isinstance(name, str) for name in [*names, fitted_on.get("images_sha256", "")]):
        raise TypeError("fitted_on is something else")
    if not all(type(fitted_on.get(name, 0)) is int for name in COUNTS):
        raise TypeError("fitted_on counts something else")
    if "\\u0000" in text:
        raise ValueError("the database stores no NUL")
    return projection, Recipe(**about["recipe"]), fitted_on, about["fingerprint"]


def _check_settings(projection: Projection) -> None:
    # An augmentation is never exported: its settings refer to rows of its database.
    settings = projection.settings
    if settings.keys() not in OF_KIND[projection.kind]:
        raise ValueError(f"settings {sorted(settings)}")
    if not all(SETTINGS[name](value) for name, value in settings.items()):
        raise ValueError(f"settings {settings}")
    if settings["dim"] != len(projection.components):
        raise ConfigError(
            f"the projection has {len(projection.components)} components, not the "
            f"{settings['dim']} it was exported with: export it again"
        )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _check_file(file: Path) -> None:
    """Refuse pipes, devices and files that are too large to read into memory."""
    with open(file, "rb", opener=regular) as stream:
        size = os.fstat(stream.fileno()).st_size
    if size > MOST_BYTES:
        raise ConfigError(f"{file} is no projection: it has more than {MOST_BYTES} bytes")


def _is_npz(file: Path) -> bool:
    if file.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{file}: the name must end in {' or '.join(SUFFIXES)}")
    return file.suffix.lower() == ".npz"


def _read_npz(file: Path) -> tuple[dict[str, Any], str]:
    # np.load(file) has no limit on the unpacked size, so check the zip's directory first.
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sorted(m.filename for m in members) != sorted(f"{n}.npy" for n in (*ARRAYS, "about")):
            raise ValueError("other members")
        if sum(m.file_size for m in members) > MOST_BYTES:
            raise ConfigError(f"{file} is no projection: it unpacks to more than {MOST_BYTES} B")
        data = {m.filename.removesuffix(".npy"): _array(archive.read(m)) for m in members}
    return data, str(data.pop("about"))


def _array(data: bytes) -> Any:
    return np.load(BytesIO(data), allow_pickle=False)


def _read_safetensors(file: Path) -> tuple[dict[str, Any], str]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as data:
        if sorted(data.keys()) != sorted(ARRAYS):
            raise ValueError("other tensors")
        return {name: data.get_tensor(name) for name in ARRAYS}, data.metadata()["about"]
