"""The small frozen records that cross from one part of spocdb to another."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

Fit = Literal["warp", "aspect", "pad"]
Pooling = Literal["sum", "max", "gem"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """An extractor's immutable recipe: all that decides which raw descriptor an image gets.

    `weights` is the sha256 (hex) of the weights file. `size` is in pixels: the side of the warped
    or padded square, or the longer side where the aspect is kept. `sigma` is the centering prior's
    standard deviation as a part of the distance from the centre to the nearest border (None: no
    prior); `gem_p` is GeM's exponent (None unless pooling is "gem").
    """

    backbone: str
    weights: str
    layer: str
    relu: bool
    size: int
    fit: Fit
    ceil_mode: bool
    pooling: Pooling
    sigma: float | None
    gem_p: float | None
    interpolation: str = "bilinear"
    background: str = "white"

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the recipe's canonical JSON; equal recipes have equal ones."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return the extractor's name: the backbone and eight digits of the fingerprint."""
        return f"{self.backbone}-{self.fingerprint[:8]}"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file found under the given paths: absolute path, bytes, modification time (ns)."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image ready for a network: uint8 RGB pixels (H, W, 3), and its upright size before."""

    pixels: UInt8Array
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the upright image (after the EXIF turn)."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Projection:
    """A fitted linear map from raw descriptors (C) to embeddings (N).

    embedding = L2((raw - mean) @ components.T * scale). `mean` (C,) float32; `components` (N, C)
    float32, unit rows; `scale` (N,) float64, the whitening's factors or ones; `singular_values`
    (N,) float64, of the centred sample matrix; `explained` (N,) float64, each component's part of
    the total variance. The raw projection has no rows and only normalises.
    """

    mean: Float32Array
    components: Float32Array
    scale: Float64Array
    singular_values: Float64Array
    explained: Float64Array
    n_samples: int
    settings: dict[str, Any]

    @property
    def dim(self) -> int:
        """Return the dimension of the embeddings, N."""
        return len(self.components) or len(self.mean)

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the numbers that decide an embedding."""
        digest = hashlib.sha256()
        for array, kind in ((self.mean, "<f4"), (self.components, "<f4"), (self.scale, "<f8")):
            digest.update(np.ascontiguousarray(array, kind).tobytes())
        return digest.hexdigest()
