"""Feature map -> raw descriptor: SPoC (Babenko & Lempitsky, ICCV 2015) and its alternatives.

Every pooling is (N, C, H, W) -> (N, C), computed in float32 whatever the map's precision. Weights
of positions are (H, W) or (N, 1, H, W).
"""

import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.records import Recipe

# Keeps GeM's root and its gradient finite if a channel is zero everywhere.
GEM_EPS = 1e-6
# R-MAC's regions: levels of smaller and smaller squares, their overlap as a fraction, and the most
# extra squares along the longer border.
REGION_LEVELS, REGION_OVERLAP, MOST_MORE_REGIONS = 3, 0.4, 6
TINY = 1e-12


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
    """Sum over the positions, multiplied by `weights` if given."""
    values = feature_map.float()
    return (values if weights is None else values * weights).sum(dim=(2, 3))


def max_pool(feature_map: Tensor) -> Tensor:
    """Take the maximum over the positions."""
    return feature_map.float().amax(dim=(2, 3))


def gem_pool(feature_map: Tensor, p: float, weights: Tensor | None = None) -> Tensor:
    """Take the generalised mean over the positions (Radenovic et al. 2018).

    The p-th root of the (weighted) mean of the p-th powers; values are clamped to `GEM_EPS`.
    """
    powers = feature_map.float().clamp(min=GEM_EPS).pow(p)
    if weights is None:
        return powers.mean(dim=(2, 3)).pow(1 / p)
    return ((powers * weights).sum(dim=(2, 3)) / weights.sum()).pow(1 / p)


def regional_max_pool(feature_map: Tensor) -> Tensor:
    """Sum the normalised maxima of overlapping squares: R-MAC (Tolias, Sicre & Jegou, ICLR 2016).

    Omits the paper's PCA of each region before the sum.
    """
    values = feature_map.float()
    maxima = [
        l2_normalise(values[:, :, y : y + side, x : x + side].amax(dim=(2, 3)))
        for y, x, side in regions(*values.shape[2:])
    ]
    return torch.stack(maxima).sum(dim=0)


def regions(height: int, width: int, levels: int = REGION_LEVELS) -> list[tuple[int, int, int]]:
    """Return R-MAC's squares (y, x, side) of a map.

    At level l the side is 2 / (l + 1) of the shorter border. l squares lie along the shorter border
    and l + m along the longer one, with the m that brings the overlap nearest to `REGION_OVERLAP`.
    """
    shorter, longer = sorted((height, width))
    # Extra squares along the longer border, chosen for the first level and used for all.
    n_more = min(
        range(1, MOST_MORE_REGIONS + 1),
        key=lambda n: abs(1 - (longer - shorter) / (n * shorter) - REGION_OVERLAP),
    )
    found = []
    for level in range(1, levels + 1):
        side = max(1, 2 * shorter // (level + 1))
        along_y = _starts(height, side, level + n_more * (height > width))
        along_x = _starts(width, side, level + n_more * (width > height))
        found += [(y, x, side) for y in along_y for x in along_x]
    return found


def _starts(length: int, side: int, n: int) -> list[int]:
    return [i * (length - side) // max(n - 1, 1) for i in range(n)]


def norm_attention(feature_map: Tensor) -> Tensor:
    """Return weights (N, 1, H, W) of the positions: the length of the feature there."""
    lengths: Tensor = feature_map.float().norm(dim=1, keepdim=True)
    return lengths


def crow_attention(feature_map: Tensor) -> Tensor:
    """Return CroW's weights (N, 1, H, W) of the positions (Kalantidis et al. 2016, section 3.2).

    The root of the channels' sum, after the map of sums is normalised.
    """
    sums = feature_map.float().clamp(min=0).sum(dim=1, keepdim=True)
    total: Tensor = sums.norm(dim=(2, 3), keepdim=True)
    return (sums / total.clamp(min=TINY)).sqrt()


def crow_channels(feature_map: Tensor) -> Tensor:
    """Return CroW's weights (N, C) of the channels (section 3.3), highest for rarely active."""
    active = (feature_map > 0).float().mean(dim=(2, 3))
    weights = torch.log(active.sum(dim=1, keepdim=True) / active.clamp(min=TINY))
    return torch.where(active > 0, weights, torch.zeros_like(weights))


def l2_normalise(vectors: Tensor) -> Tensor:
    """Scale each row of (N, C) to length one; a row of zeros stays as it is."""
    return functional.normalize(vectors, dim=1)


def pool(feature_map: Tensor, recipe: Recipe) -> Tensor:
    """Pool a feature map with the recipe's pooling, without normalising."""
    if recipe.pooling == "max":
        return max_pool(feature_map)
    if recipe.pooling == "rmac":
        return regional_max_pool(feature_map)
    weights = None
    if recipe.sigma is not None:
        height, width = feature_map.shape[2:]
        weights = centering_prior(height, width, recipe.sigma, feature_map.device)
    if recipe.pooling == "sum":
        return _attentive_sum(feature_map, weights, recipe)
    if recipe.gem_p is None:
        raise ConfigError("a recipe with gem pooling needs gem_p")
    return gem_pool(feature_map, recipe.gem_p, weights)


def _attentive_sum(feature_map: Tensor, prior: Tensor | None, recipe: Recipe) -> Tensor:
    if recipe.attention is None:
        return sum_pool(feature_map, prior)
    attention = _ATTENTIONS[recipe.attention](feature_map)
    pooled = sum_pool(feature_map, attention if prior is None else attention * prior)
    return pooled * crow_channels(feature_map) if recipe.attention == "crow" else pooled


_ATTENTIONS = {"crow": crow_attention, "norm": norm_attention}
