"""Feature map -> raw descriptor: SPoC (Babenko & Lempitsky, ICCV 2015), max pooling and GeM.

Every pooling is (N, C, H, W) -> (N, C), computed in float32 whatever the map's precision.
"""

import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.records import Recipe

# Keeps GeM's root and its gradient finite where a channel is zero everywhere.
GEM_EPS = 1e-6


def centering_prior(
    height: int, width: int, sigma_ratio: float, device: torch.device | None = None
) -> Tensor:
    """Return the paper's Gaussian weights of the positions, (H, W), largest at the centre.

    With 0-based positions the centre is ((H - 1) / 2, (W - 1) / 2); sigma is `sigma_ratio` times
    the distance from there to the nearest border, which is the outer edge of the outermost
    positions: min(H, W) / 2.
    """
    sigma = sigma_ratio * min(height, width) / 2
    y = torch.arange(height, dtype=torch.float32, device=device) - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float32, device=device) - (width - 1) / 2
    return torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * sigma**2))


def sum_pool(feature_map: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum over the positions, each by its weight (H, W) where weights are given."""
    values = feature_map.float()
    return (values if weights is None else values * weights).sum(dim=(2, 3))


def max_pool(feature_map: Tensor) -> Tensor:
    """Take the maximum over the positions."""
    return feature_map.float().amax(dim=(2, 3))


def gem_pool(feature_map: Tensor, p: float, weights: Tensor | None = None) -> Tensor:
    """Take the generalised mean over the positions (Radenovic et al. 2018).

    The p-th root of the (weighted) mean of the p-th powers; values below `GEM_EPS` count as that.
    """
    powers = feature_map.float().clamp(min=GEM_EPS).pow(p)
    if weights is None:
        return powers.mean(dim=(2, 3)).pow(1 / p)
    return ((powers * weights).sum(dim=(2, 3)) / weights.sum()).pow(1 / p)


def l2_normalise(vectors: Tensor) -> Tensor:
    """Scale each row of (N, C) to length one; a row of zeros stays as it is."""
    return functional.normalize(vectors, dim=1)


def pool(feature_map: Tensor, recipe: Recipe) -> Tensor:
    """Pool a feature map as the recipe says, without normalising."""
    if recipe.pooling == "max":
        return max_pool(feature_map)
    weights = None
    if recipe.sigma is not None:
        height, width = feature_map.shape[2:]
        weights = centering_prior(height, width, recipe.sigma, feature_map.device)
    if recipe.pooling == "sum":
        return sum_pool(feature_map, weights)
    if recipe.gem_p is None:
        raise ConfigError("a recipe with gem pooling needs gem_p")
    return gem_pool(feature_map, recipe.gem_p, weights)
