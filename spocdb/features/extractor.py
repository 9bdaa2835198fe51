"""RGB pixels -> raw descriptors, by the network of a recipe."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import ConfigError, DescriptorError
from spocdb.features.backbones import Trunk, build_trunk, keep_first_exact
from spocdb.features.codebooks import Codebook, encode
from spocdb.features.codebooks import load as load_codebook
from spocdb.features.pooling import l2_normalise, pool
from spocdb.features.recipes import SMALLEST_SIZE, channels
from spocdb.features.weights import load_state_dict
from spocdb.records import Float32Array, Recipe, UInt8Array

Precision = Literal["auto", "float32", "bfloat16"]

# Of ImageNet's RGB, in units of 0-255.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
# Cosine to float32's descriptor; on 421 photographs bfloat16 reaches 0.9997 or more.
LEAST_AGREEMENT = 0.9995

LARGEST_BATCH = 1024

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Extractor:
    """A recipe's network on a device, fed `at_once` images at most. For one thread at a time."""

    def __init__(
        self,
        recipe: Recipe,
        trunk: Trunk,
        device: torch.device,
        precision: Precision = "auto",
        at_once: int = LARGEST_BATCH,
        codebook: Codebook | None = None,
    ) -> None:
        self.recipe = recipe
        self._codebook = codebook
        self.dim = channels(recipe)
        self.device = device
        self._dtype = _DTYPES.get(precision) or _fastest_dtype(device)
        self._unchecked = precision == "auto" and self._dtype == torch.bfloat16
        self._at_once = at_once
        # Channels last: a quarter faster on CPUs, and what tensor cores want.
        self._trunk = trunk.to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=device).view(1, 3, 1, 1)

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
            parts = [self._extract_halving(part) for part in torch.split(batch, self._at_once)]
            raw[indices] = torch.cat(parts).half().float().numpy()
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
        (features,) = _positions(self._feature_map(self._normalised(batch), self._dtype))
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

    def _extract_halving(self, batch: Tensor) -> Tensor:
        try:
            return self._descriptors(batch)
        except RuntimeError as error:
            # CUDA has a class of its own for it, MPS only these words.
            if "out of memory" not in str(error) and not isinstance(error, torch.OutOfMemoryError):
                raise
            if len(batch) == 1:
                raise ConfigError(
                    f"{self.device} has no memory for one image: --device cpu, or a smaller --size"
                ) from error
        # Outside of the handler, whose traceback would keep the large batch in memory.
        return torch.cat([self._extract_halving(half) for half in batch.chunk(2)])

    def _descriptors(self, batch: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, C) of length one, on the CPU."""
        images = self._normalised(batch)
        views = [
            l2_normalise(self._pool(self._feature_map(view, dtype or self._dtype)))
            for view in _views(images, self.recipe)
        ]
        return l2_normalise(torch.stack(views).sum(dim=0)).cpu()

    def _normalised(self, batch: Tensor) -> Tensor:
        return (batch.to(self.device).permute(0, 3, 1, 2).float() - self._mean) / self._std

    def _feature_map(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        with _running_in(dtype, self.device):
            feature_map: Tensor = self._trunk(images)
        return feature_map

    def _pool(self, feature_map: Tensor) -> Tensor:
        if self._codebook is None:
            return pool(feature_map, self.recipe)
        encoded = [encode(features, self._codebook) for features in _positions(feature_map)]
        return torch.from_numpy(np.stack(encoded))


def _views(images: Tensor, recipe: Recipe) -> Iterator[Tensor]:
    """Yield the images (N, 3, H, W) at each scale of the recipe, and mirrored."""
    for scale in recipe.scales:
        view = images
        if scale != 1:
            # As thin as `decode` lets an image be, and no thinner.
            size = [max(SMALLEST_SIZE, round(side * scale)) for side in images.shape[2:]]
            view = functional.interpolate(images, size, mode="bilinear", antialias=True)
            # What interpolation gives lies in memory as it pleases.
            view = view.contiguous(memory_format=torch.channels_last)
        yield view
        if recipe.flip:
            yield view.flip(3)


def _positions(feature_map: Tensor) -> list[Float32Array]:
    """(N, C, H, W) -> N times (H W, C) in float32, on the CPU."""
    return list(feature_map.float().flatten(2).transpose(1, 2).cpu().numpy())


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
    if precision != "auto" and precision not in _DTYPES:
        raise ConfigError(f"unknown precision {precision!r}: one of auto, {', '.join(_DTYPES)}")
    found = _find_device(device)
    # One image's feature maps fill a CPU's cache; with a second one each takes a fifth longer.
    at_once = 1 if found.type == "cpu" else LARGEST_BATCH
    trunk = keep_first_exact(build_trunk(recipe, load_state_dict(weights)))
    learned = load_codebook(codebook) if codebook else None
    return Extractor(recipe, trunk, found, precision, at_once, learned)


def _find_device(name: str) -> torch.device:
    if name == "auto":
        name = _best_device()
    try:
        device = torch.device(name)
        # Only using it shows that a device is there.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"no device {name!r} on this machine: try auto or cpu") from error
    return device


def _running_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    # Not autocast(enabled=False): on some devices that warns of float32.
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _fastest_dtype(device: torch.device) -> torch.dtype:
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
