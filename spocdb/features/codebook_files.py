"""Codebook files (safetensors). Every number is checked on reading."""

import json
import os
from pathlib import Path

import numpy as np

from spocdb import outfiles
from spocdb.errors import ConfigError
from spocdb.features.codebooks import LONGEST, Codebook
from spocdb.images.regular import regular

# The largest codebook that can be learned, fisher-256 with its reduction, has 35 MB.
MOST_BYTES = 512 * 1024**2


def save(codebook: Codebook, file: Path) -> None:
    """Write a codebook to a .safetensors file.

    Raises:
        ConfigError: The file cannot be written.
    """
    from safetensors.numpy import save as serialised

    arrays = {name: np.ascontiguousarray(array) for name, array in codebook.arrays.items()}
    data = serialised(arrays, metadata={"about": json.dumps({"kind": codebook.kind})})
    with outfiles.replaced(file) as fresh:
        # save_file would create a file that only its owner can read.
        fresh.write_bytes(data)


def load(file: Path) -> Codebook:
    """Read a codebook and check its numbers.

    Raises:
        ConfigError: The file cannot be read, is no codebook, or holds unusable numbers.
    """
    from safetensors import safe_open

    try:
        _check_file(file)
        with safe_open(file, framework="numpy") as data:
            kind = json.loads(data.metadata()["about"])["kind"]
            # safe_open returns no mapping, so keys() is needed to iterate.
            arrays = {name: data.get_tensor(name) for name in data.keys()}  # noqa: SIM118
        codebook = Codebook(kind, arrays)
        found = fault(codebook)
    except FileNotFoundError as error:
        raise ConfigError(f"cannot read the codebook {file}: there is no such file") from error
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"cannot read the codebook {file}: {reason}") from error
    # The parser can raise any exception on a file of another format.
    except Exception as error:
        raise ConfigError(
            f"{file} is no codebook: make one with `db.learn_codebook(...)`"
        ) from error
    if found:
        raise ConfigError(
            f"the codebook {file} cannot be used: {found}: make one with `db.learn_codebook(...)`"
        )
    return codebook


def fault(codebook: Codebook) -> str | None:
    """Return what is wrong with a codebook, or None.

    Raises:
        KeyError: The arrays that determine the shapes are missing.
        ValueError: The kind is unknown.
    """
    arrays = codebook.arrays
    shapes = _shapes(codebook)
    if arrays.keys() != shapes.keys():
        return f"it has the arrays {', '.join(sorted(arrays))}, not {', '.join(sorted(shapes))}"
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype != np.float32 or array.shape != shape or 0 in shape:
            return f"its {name} are {array.dtype} {array.shape}, not float32 {shape}"
        if not np.isfinite(array).all():
            return f"its {name} are not all finite numbers"
    # The Fisher vector divides by the weights and by the covariances.
    for name in ("weights", "covariances"):
        if name in arrays and not (arrays[name] > 0).all():
            return f"its {name} are not all above zero"
    if codebook.dim > LONGEST:
        return f"it gives {codebook.dim} dimensions, and {LONGEST} is the most"
    return None


def _check_file(file: Path) -> None:
    """Refuse pipes, devices and files that are too large to read into memory."""
    with open(file, "rb", opener=regular) as stream:
        size = os.fstat(stream.fileno()).st_size
    if size > MOST_BYTES:
        raise ValueError("too large")


def _shapes(codebook: Codebook) -> dict[str, tuple[int, ...]]:
    """Return each array's expected shape, derived from the components and the centres."""
    arrays = codebook.arrays
    d, channels = arrays["components"].shape
    k = len(arrays["centroids" if codebook.kind == "triangulation" else "weights"])
    shapes: dict[str, tuple[int, ...]] = {"mean": (channels,), "components": (d, channels)}
    if codebook.kind == "fisher":
        n = k * (2 * d + 1)
        shapes |= {"weights": (k,), "means": (k, d), "covariances": (k, d)}
    elif codebook.kind == "triangulation":
        n = k * d
        shapes |= {"centroids": (k, d), "origin": (n,), "whitening": (n, n)}
    else:
        raise ValueError(f"unknown kind {codebook.kind!r}")
    if "reduced_components" in arrays:
        shapes |= {"reduced_mean": (n,), "reduced_components": (codebook.dim, n)}
    return shapes
