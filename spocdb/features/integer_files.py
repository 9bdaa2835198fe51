"""Networks in 8-bit integers as files hold them (safetensors). Every number is checked on reading.

Such a network is a plain stack of convolutions and max poolings. A ReLU follows each convolution
but the last one, so the values between two of them are not negative and are held as 0 to 255.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spocdb import outfiles
from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.records import Float32Array

# VGG-19 has 13 MB.
MOST_BYTES = 512 * 1024**2
MOST_LAYERS, LARGEST_WINDOW, MOST_CHANNELS = 1000, 64, 65536
FORMAT = "spocdb-int8-1"
RGB = 3
# The fields of a backbone that a file keeps: the recipe of the network that it was made from.
PRESET = ("size", "fit", "relu", "pooling", "sigma", "interpolation", "mean", "std")


class Pool(NamedTuple):
    """A max pooling."""

    kernel: int
    stride: int
    ceil_mode: bool


class Convolution(NamedTuple):
    """A convolution of values in 8 bits; `name` is that of its arrays.

    The values that it takes are multiples of `step`, from 0 to 255 times that, or, of the first
    convolution, from -128 to 127 times that.
    """

    name: str
    stride: int
    padding: int
    step: float


class Arrays(NamedTuple):
    """A convolution's weights, int8 (O, I, k, k) times `scales` (O,), and its `bias` (O,)."""

    weight: Any
    scales: Float32Array
    bias: Float32Array


@dataclass(frozen=True, slots=True)
class Stack:
    """A network in integers: normalised RGB -> the feature map before a ReLU; its recipe."""

    origin: str
    layer: str
    layers: Sequence[Pool | Convolution]
    arrays: Mapping[str, Arrays]
    preset: Mapping[str, Any]

    @property
    def channels(self) -> int:
        """Return the channels of the feature map."""
        return len(self.arrays[self.convolutions[-1].name].bias)

    @property
    def convolutions(self) -> Sequence[Convolution]:
        """Return the convolutions in order."""
        return [layer for layer in self.layers if isinstance(layer, Convolution)]


def save(stack: Stack, file: Path) -> None:
    """Write a network to a .safetensors file.

    Raises:
        ConfigError: The file cannot be written.
    """
    from safetensors.numpy import save as serialised

    tensors = {
        f"{name}.{part}": np.ascontiguousarray(array)
        for name, arrays in stack.arrays.items()
        for part, array in arrays._asdict().items()
    }
    about = {field: getattr(stack, field) for field in ("origin", "layer", "preset")}
    layers = [{type(layer).__name__: layer._asdict()} for layer in stack.layers]
    told = json.dumps({"format": FORMAT, **about, "layers": layers}, sort_keys=True)
    with outfiles.replaced(file) as fresh:
        fresh.write_bytes(serialised(tensors, metadata={"about": told}))


def load(file: Path) -> Stack:
    """Read a network and check its numbers.

    Raises:
        ConfigError: The file cannot be read, or holds no network in integers.
    """
    from safetensors.numpy import load as parsed

    try:
        with open(file, "rb", opener=regular) as stream:
            if os.fstat(stream.fileno()).st_size > MOST_BYTES:
                raise ValueError("it is too large")
            data = stream.read()
        # The header: its length in eight bytes, then JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return _checked(json.loads(header["__metadata__"]["about"]), parsed(data))
    except OSError as error:
        raise ConfigError(f"cannot read the weights {file}: {error.strerror or error}") from error
    # The parser can raise any exception on a file of another format.
    except Exception as error:
        why = f" ({error})" if isinstance(error, _Unusable) else ""
        raise ConfigError(
            f"{file} is broken, or no network in integers{why}: make one with `db.quantize(...)`"
        ) from error


class _Unusable(ValueError):
    """Says what is wrong with a network in a file."""


def _checked(about: Mapping[str, Any], tensors: Mapping[str, Any]) -> Stack:
    if about["format"] != FORMAT:
        raise _Unusable("it was made by another version of spocdb")
    layers = [_layer(each) for each in about["layers"][:MOST_LAYERS]]
    names = [layer.name for layer in layers if isinstance(layer, Convolution)]
    arrays = {
        name: Arrays(*(tensors[f"{name}.{part}"] for part in Arrays._fields)) for name in names
    }
    preset = {name: about["preset"][name] for name in PRESET}
    if not all(map(_is_of_kind, PRESET, preset.values())):
        raise _Unusable("its recipe makes no sense")
    stack = Stack(str(about["origin"]), str(about["layer"]), layers, arrays, preset)
    if len(tensors) != len(arrays) * len(Arrays._fields) or not names:
        raise _Unusable("it has other arrays than its layers need")
    n_inputs = RGB
    for name in names:
        _check_arrays(name, arrays[name], n_inputs)
        n_inputs = len(arrays[name].bias)
    return stack


def _is_of_kind(name: str, value: Any) -> bool:
    """Return whether a field has a value of its type; the recipe checks what it may be."""
    if name in ("mean", "std"):
        return isinstance(value, list) and all(type(each) is float for each in value)
    kinds: dict[str, Any] = {"size": int, "relu": bool, "sigma": float | None}
    return isinstance(value, kinds.get(name, str))


def _layer(told: Mapping[str, Any]) -> Pool | Convolution:
    ((kind, fields),) = told.items()
    layer = Pool(**fields) if kind == "Pool" else Convolution(**fields)
    if isinstance(layer, Pool):
        sides, is_sound = (layer.kernel, layer.stride), isinstance(layer.ceil_mode, bool)
    else:
        sides, is_sound = (layer.stride, layer.padding + 1), 0 < float(layer.step) < float("inf")
    if not is_sound or not all(type(n) is int and 0 < n <= LARGEST_WINDOW for n in sides):
        raise _Unusable(f"a layer cannot be {told}")
    return layer


def _check_arrays(name: str, arrays: Arrays, n_inputs: int) -> None:
    weight, scales, bias = arrays
    n = len(bias)
    is_shaped = weight.ndim == 4 and weight.shape[:2] == (n, n_inputs)
    is_square = is_shaped and weight.shape[2] == weight.shape[3] <= LARGEST_WINDOW
    kinds = [str(array.dtype) for array in arrays]
    if not is_square or kinds != ["int8", "float32", "float32"] or not 0 < n <= MOST_CHANNELS:
        raise _Unusable(f"the arrays of {name} have other shapes or types")
    if scales.shape != (n,) or not (np.isfinite(scales).all() and np.isfinite(bias).all()):
        raise _Unusable(f"numbers of {name} are not finite")
    if not (scales > 0).all() or not weight.any():
        raise _Unusable(f"the weights of {name} are zero")
