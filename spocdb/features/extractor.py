"""RGB pixels -> raw descriptors, by the network of a recipe."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import ConfigError, DescriptorError
from spocdb.features.backbones import Trunk, build_trunk, keep_first_exact
from spocdb.features.codebooks import Codebook
from spocdb.features.codebooks import load as load_codebook
from spocdb.features.network import Network, positions
from spocdb.features.recipes import channels
from spocdb.features.weights import load_state_dict
from spocdb.records import Float32Array, Recipe, UInt8Array

Precision = Literal["auto", "float32", "bfloat16"]

# Cosine to float32's descriptor; on 421 photographs bfloat16 reaches 0.9997 or more.
LEAST_AGREEMENT = 0.9995

LARGEST_BATCH = 1024
# On a CPU: the feature maps of each take memory.
MOST_IMAGES_AT_ONCE = 8

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Extractor:
    """A recipe's network on a device. For one thread at a time.

    A CPU computes several images beside each other, each with its part of the cores: cores that
    share an image wait for each other at every layer. Another device takes a batch as a whole.
    """

    def __init__(
        self,
        recipe: Recipe,
        trunk: Trunk,
        device: torch.device,
        precision: Precision = "auto",
        codebook: Codebook | None = None,
    ) -> None:
        self.recipe = recipe
        self.dim = channels(recipe)
        self.device = device
        self._dtype = DTYPES.get(precision) or fastest_dtype(device)
        self._unchecked = precision == "auto" and self._dtype == torch.bfloat16
        self._network = Network(recipe, trunk, codebook).to(device)
        self._pool = _pool() if device.type == "cpu" else None

    @property
    def precision(self) -> str:
        """Return the precision that the network runs in: "float32" or "bfloat16"."""
        return str(self._dtype).removeprefix("torch.")

    @torch.inference_mode()
    def extract(self, pixels: Sequence[UInt8Array]) -> Float32Array:
        """Compute the raw descriptors (N, C) of N images (H, W, 3), whose sizes may differ.

        They have length one and half precision: each value is one of float16, which is what the
        database keeps, so that a projection gives the same embedding here and in SQL.

        Raises DescriptorError if the network gives numbers that are not finite.
        """
        raw = np.empty((len(pixels), self.dim), np.float32)
        for indices in _same_shape(pixels):
            batch = torch.from_numpy(np.stack([pixels[i] for i in indices]))
            self._check_precision(batch[:1])
            raw[indices] = torch.cat(self._parts(batch)).half().float().numpy()
        if not np.isfinite(raw).all():
            raise DescriptorError(
                f"{self.recipe.name} gives numbers that are not finite: "
                "check the weights file, or use --precision float32"
            )
        return raw

    @torch.inference_mode()
    def local_features(self, pixels: UInt8Array) -> Float32Array:
        """Compute the local features (P, C) of an image (H, W, 3): its feature map's positions."""
        batch = torch.from_numpy(np.stack([pixels]))
        self._check_precision(batch)
        (features,) = positions(self._network.feature_map(batch, self._dtype))
        return features

    def _check_precision(self, image: Tensor) -> None:
        """Go on in float32 if bfloat16 is too coarse for this network; asked of one image."""
        if not self._unchecked:
            return
        self._unchecked = False
        fast, exact = self._descriptors(image), self._descriptors(image, torch.float32)
        # Written so that a cosine which is not a number fails too.
        if not functional.cosine_similarity(fast, exact).item() >= LEAST_AGREEMENT:
            self._dtype = torch.float32

    def _parts(self, batch: Tensor) -> list[Tensor]:
        if self._pool is None:
            return [self._extract_halving(part) for part in torch.split(batch, LARGEST_BATCH)]
        if len(batch) == 1:
            return [self._extract_halving(batch)]  # by all cores
        return list(self._pool.map(self._extract_halving, torch.split(batch, 1)))

    @torch.inference_mode()
    def _extract_halving(self, batch: Tensor) -> Tensor:
        try:
            return self._descriptors(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ConfigError(
                    f"{self.device} has no memory for one image: --device cpu, or a smaller --size"
                ) from error
        # Outside of the handler, whose traceback would keep the large batch in memory.
        return torch.cat([self._extract_halving(half) for half in batch.chunk(2)])

    def _descriptors(self, batch: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, C) of length one, on the CPU."""
        descriptors: Tensor = self._network(batch, dtype or self._dtype)
        return descriptors.cpu()


def load_extractor(
    recipe: Recipe,
    weights: Path,
    device: str = "auto",
    precision: Precision = "auto",
    codebook: Path | None = None,
) -> Extractor:
    """Load a recipe's network, and its codebook where it has one.

    `device` is "auto", "cpu", "cuda", "cuda:1" or "mps". `precision` "auto" is bfloat16 where the
    hardware is fast in it and the first image shows that it is exact enough, float32 elsewhere.

    Raises ConfigError for a device that is not here or weights that do not fit.
    """
    check_precision(precision)
    found = find_device(device)
    trunk = keep_first_exact(build_trunk(recipe, load_state_dict(weights)))
    learned = load_codebook(codebook) if codebook else None
    return Extractor(recipe, trunk, found, precision, learned)


def check_precision(name: str) -> None:
    """Raise ConfigError for an unknown precision."""
    if name != "auto" and name not in DTYPES:
        raise ConfigError(f"unknown precision {name!r}: one of auto, {', '.join(DTYPES)}")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a device's memory did not suffice."""
    # CUDA has a class of its own for it, MPS only these words.
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def _pool() -> ThreadPoolExecutor:
    """Return threads that compute an image each; together they have the cores there are."""
    n_cores = torch.get_num_threads()
    n = min(n_cores, MOST_IMAGES_AT_ONCE)
    # The number is each thread's own.
    return ThreadPoolExecutor(n, "network", torch.set_num_threads, (n_cores // n,))


def find_device(name: str) -> torch.device:
    """Return a device by name, "auto" for the best there is. Raises ConfigError."""
    if name == "auto":
        name = _best_device()
    try:
        device = torch.device(name)
        # Only using it shows that a device is there.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"no device {name!r} on this machine: try auto or cpu") from error
    return device


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where a device is fast in it, else float32."""
    fast = {"cpu": _cpu_has_bfloat16, "cuda": _cuda_has_bfloat16}.get(device.type)
    return torch.bfloat16 if fast and fast() else torch.float32


def _cpu_has_bfloat16() -> bool:
    # Private, so perhaps gone in some version of torch: float32 is always right.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _same_shape(pixels: Sequence[UInt8Array]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(pixels):
        groups[image.shape].append(index)
    return list(groups.values())
