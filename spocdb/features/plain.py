"""The descriptor of one image by a plain stack of convolutions, in NumPy alone.

For the first queries of a process: loading torch takes longer than computing them here. It is the
same arithmetic in float32; only the order of the additions differs. What this does not compute, and
weights that do not fit, are left to torch, which says what is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spocdb.features.backbones import backbone_of
from spocdb.features.declarations import Convolution, MaxPool
from spocdb.features.recipes import not_finite
from spocdb.images.regular import regular
from spocdb.records import Float32Array, Recipe, UInt8Array

# (C, H, W) -> (C', H', W')
Layer = Callable[[Float32Array], Float32Array]
TINY = 1e-12
# In pixels. Larger images take as long here as loading torch does, and more memory than there.
LARGEST_SIZE = 512


@dataclass(frozen=True, slots=True)
class Stack:
    """A recipe's network as functions of NumPy arrays; threads may share it."""

    recipe: Recipe
    layers: Sequence[Layer]

    def describe(self, pixels: UInt8Array) -> Float32Array:
        """Compute the raw descriptor of one image, (H, W, 3) -> (C,), as `Extractor.describe`.

        Raises:
            DescriptorError: The network gives numbers that are not finite.
        """
        recipe = self.recipe
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (recipe.mean, recipe.std))
        features = (np.asarray(pixels).transpose(2, 0, 1).astype(np.float32) - mean) / std
        # What becomes of numbers that are too large is checked at the end.
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in self.layers:
                features = layer(features)
            raw = (features * _prior(features, recipe.sigma)).sum(axis=(1, 2))
            unit = raw / max(float(np.linalg.norm(raw)), TINY)
        if not np.isfinite(unit).all():
            raise not_finite(recipe)
        # Of half precision, which is what the database stores.
        return np.asarray(unit, np.float16).astype(np.float32)


def computes(recipe: Recipe) -> bool:
    """Return whether a recipe wants a plain stack's sum over the positions, and nothing more."""
    is_sum = recipe.pooling == "sum" and recipe.attention is None and not recipe.relu
    is_one_view = recipe.scales == (1.0,) and not recipe.flip
    is_small = recipe.size <= LARGEST_SIZE
    return is_sum and is_one_view and is_small and bool(backbone_of(recipe).steps)


def load(recipe: Recipe, weights: Path) -> Stack | None:
    """Load the network of a recipe that `computes`; None if torch has to say what is wrong."""
    steps = backbone_of(recipe).steps
    if (tensors := _tensors(weights)) is None:
        return None
    layers, index = list[Layer](), 0
    for step in steps:
        if isinstance(step, MaxPool):
            layers.append(_pooling(step, recipe.ceil_mode))
            index += 1
            continue
        weight, bias = (tensors.get(f"features.{index}.{name}") for name in ("weight", "bias"))
        shape = (step.outputs, step.inputs, step.kernel, step.kernel)
        if not _is_usable(weight, shape) or not _is_usable(bias, shape[:1]):
            return None
        layers.append(_convolution(step, weight, bias, relu=step is not steps[-1]))
        index += 2
    return Stack(recipe, layers)


def _tensors(weights: Path) -> dict[str, Any] | None:
    """Return the tensors of a safetensors file; None if it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        with open(weights, "rb", opener=regular) as stream:
            return load(stream.read())
    except (OSError, SafetensorError, KeyError):
        return None


def _is_usable(tensor: Any, shape: tuple[int, ...]) -> bool:
    """Check what `trunks.assign` checks."""
    if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
        return False
    return bool(np.isfinite(tensor).all()) and (len(shape) == 1 or bool(tensor.any()))


def _convolution(step: Convolution, weight: Any, bias: Any, *, relu: bool) -> Layer:
    """Return a convolution: a product of its weights with the windows of the map."""
    matrix = weight.astype(np.float32).reshape(step.outputs, -1)
    column = bias.astype(np.float32)[:, None]

    def convolve(x: Float32Array) -> Float32Array:
        shifted = _shifted(x, step.kernel, step.stride, step.padding)
        y = matrix @ shifted.reshape(matrix.shape[1], -1)
        y += column
        if relu:
            np.maximum(y, 0, out=y)
        mapped: Float32Array = y.reshape(-1, *shifted.shape[2:])
        return mapped

    return convolve


def _pooling(step: MaxPool, ceil_mode: bool) -> Layer:
    def pool(x: Float32Array) -> Float32Array:
        # With `ceil_mode` a window may reach beyond the map, where nothing is.
        beyond = [-(side - step.kernel) % step.stride * ceil_mode for side in x.shape[1:]]
        padded = np.pad(x, ((0, 0), (0, beyond[0]), (0, beyond[1])), constant_values=-np.inf)
        found: Float32Array = _shifted(padded, step.kernel, step.stride).max(axis=1)
        return found

    return pool


def _shifted(x: Float32Array, kernel: int, stride: int, padding: int = 0) -> Float32Array:
    """Return what each place of a window sees of a map: (C, H, W) -> (C, kernel ** 2, h, w)."""
    if (kernel, stride) == (1, 1):
        return x[:, None]
    if padding:
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    channels, *sides = x.shape
    height, width = ((side - kernel) // stride + 1 for side in sides)
    found = np.empty((channels, kernel**2, height, width), np.float32)
    for place in range(kernel**2):
        top, left = divmod(place, kernel)
        seen = x[:, top : top + stride * height : stride, left : left + stride * width : stride]
        found[:, place] = seen
    return found


def _prior(features: Float32Array, sigma: float | None) -> Float32Array:
    """Return the weights of the positions, (H, W): `pooling.centering_prior`, or ones."""
    height, width = features.shape[1:]
    if sigma is None:
        return np.ones((height, width), np.float32)
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
    spread = 2 * (sigma * min(height, width) / 2) ** 2
    weights: Float32Array = np.exp(-(y**2 + x**2) / spread).astype(np.float32)
    return weights
