"""A recipe's network: RGB pixels -> raw descriptors, differentiable up to the pooling.

Extraction and training run this same path.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.features.codebooks import Codebook, encode
from spocdb.features.pooling import l2_normalise, pool
from spocdb.images.geometry import SMALLEST_SIDE
from spocdb.records import Float32Array, Recipe

# A recipe, and its codebook if it has one.
WithCodebook = tuple[Recipe, Codebook | None]


class Network(nn.Module):
    """Normalisation, a recipe's trunk, and pooling.

    `others` are recipes that differ from the first one only in pooling. Each feature map is
    computed once and pooled by all of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        recipe: Recipe,
        trunk: nn.Module,
        codebook: Codebook | None = None,
        others: Sequence[WithCodebook] = (),
    ) -> None:
        super().__init__()
        self.recipe = recipe
        # Channels last: a quarter faster on CPUs, and the layout of tensor cores.
        self.trunk = trunk.to(memory_format=torch.channels_last)
        self._poolings = ((recipe, codebook), *others)
        # Not persistent: constants do not belong in the state dict.
        self.register_buffer("mean", torch.tensor(recipe.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, batch: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, C) of length one; the trunk runs in `dtype`.

        With several recipes their descriptors stand beside each other, each of length one.
        """
        views = (self._pooled(view, dtype) for view in _views(self.normalised(batch), self.recipe))
        sums = [torch.stack(of_recipe).sum(dim=0) for of_recipe in zip(*views, strict=True)]
        return torch.cat([l2_normalise(total) for total in sums], dim=1)

    @property
    def can_be_recorded(self) -> bool:
        """Return whether a CUDA graph can hold it; a codebook encodes on the CPU."""
        has_codebook = any(codebook for _, codebook in self._poolings)
        return not has_codebook and getattr(self.trunk, "can_be_recorded", True)

    def feature_map(self, batch: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """uint8 (N, H, W, 3) -> feature map (N, C, h, w), at the recipe's first scale."""
        return self._map(self.normalised(batch), dtype)

    def normalised(self, batch: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) -> normalised RGB (N, 3, H, W)."""
        images = batch.to(self.mean.device).permute(0, 3, 1, 2).float()
        return (images - self.mean) / self.std

    def _map(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        with _running_in(dtype, images.device):
            feature_map: Tensor = self.trunk(images)
        return feature_map

    def _pooled(self, images: Tensor, dtype: torch.dtype) -> list[Tensor]:
        feature_map = self._map(images, dtype)
        return [l2_normalise(_pool(feature_map, *pooling)) for pooling in self._poolings]


def positions(feature_map: Tensor) -> list[Float32Array]:
    """(N, C, H, W) -> N times (H W, C) in float32, on the CPU."""
    return list(feature_map.float().flatten(2).transpose(1, 2).cpu().numpy())


def _pool(feature_map: Tensor, recipe: Recipe, codebook: Codebook | None) -> Tensor:
    if codebook is None:
        return pool(feature_map, recipe)
    encoded = [encode(features, codebook) for features in positions(feature_map)]
    return torch.from_numpy(np.stack(encoded)).to(feature_map.device)


def _views(images: Tensor, recipe: Recipe) -> Iterator[Tensor]:
    """Yield the images (N, 3, H, W) at each scale of the recipe, and mirrored."""
    for scale in recipe.scales:
        view = images
        if scale != 1:
            # The same smallest side as in `decode`.
            size = [max(SMALLEST_SIDE, round(side * scale)) for side in images.shape[2:]]
            view = functional.interpolate(images, size, mode=recipe.interpolation, antialias=True)
            # interpolate does not guarantee a memory format.
            view = view.contiguous(memory_format=torch.channels_last)
        yield view
        if recipe.flip:
            yield view.flip(3)


def _running_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    # autocast(enabled=False) would warn about float32 on some devices.
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
