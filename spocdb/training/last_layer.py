"""A new last layer of a student, fitted to its teachers' descriptors by least squares.

A linear layer commutes with the sum over the positions. So it begins as a ridge regression of the
targets on the pooled features before it, for which one look at the images is enough; gradients
would need epochs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spocdb.features.network import Network
from spocdb.features.pooling import pool
from spocdb.records import Float32Array, UInt8Array

# Of the mean variance of the features; chosen by nothing: 7,000 images for 1,280 features are few.
RIDGE = 0.1


def fit_last(network: Network, seen: Iterable[tuple[UInt8Array, Float32Array]]) -> None:
    """Fit the network's last layer, a linear one, to batches of pixels (N, H, W, 3) and targets.

    Targets are (N, D). The network's own pooling must be a sum.
    """
    *_, last = (m for m in network.trunk.modules() if isinstance(m, nn.Conv2d))
    features, targets = [], []
    with torch.inference_mode():
        for pixels, target in seen:
            features.append(_mean_before(network, last, torch.from_numpy(pixels)))
            targets.append(torch.from_numpy(target).double())
        weight, bias = ridge(torch.cat(features), torch.cat(targets))
    with torch.no_grad():
        last.weight.copy_(weight.float()[:, :, None, None])
        assert last.bias is not None
        last.bias.copy_(bias.float())


def _mean_before(network: Network, last: nn.Module, pixels: Tensor) -> Tensor:
    """Return the weighted means (N, C) over the positions of what the last layer is given."""
    given: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
    with hook:
        network.feature_map(pixels)
    (feature_map,) = given
    # Of ones the pooling gives the sum of its weights, which the bias is multiplied by.
    weights = pool(torch.ones_like(feature_map[:1, :1]), network.recipe)
    return (pool(feature_map, network.recipe) / weights).double().cpu()


def ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight (D, C) and the bias (D,) of the regression of y (N, D) on x (N, C)."""
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    centred = x - x_mean
    gram = centred.T @ centred
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weight = torch.linalg.solve(gram, centred.T @ (y - y_mean)).T
    return weight, y_mean - weight @ x_mean
