"""Retrieval quality of a network in training, on the held-out images."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spocdb.evaluation.measures import average_precision
from spocdb.features.network import Network
from spocdb.records import Float32Array, UInt8Array


def describe(network: Network, pixels: Sequence[UInt8Array], dtype: torch.dtype) -> Float32Array:
    """Compute the descriptors (n, C) of images (H, W, 3) of one size."""
    descriptors: Tensor = network(torch.from_numpy(np.stack(pixels)), dtype)
    return descriptors.cpu().numpy()


def mean_average_precision(descriptors: Float32Array, labels: Sequence[str]) -> float:
    """Return the mAP of every image as a query for the other images of its label.

    `descriptors` (n, C) have length one. Searches exhaustively and uses the benchmarks' measure.
    0 if no label occurs twice.
    """
    numbers = np.unique(labels, return_inverse=True)[1]
    values = []
    for i, row in enumerate(descriptors):
        order = np.argsort(-(descriptors @ row), kind="stable")
        is_relevant = numbers[order[order != i]] == numbers[i]
        if ranks := np.flatnonzero(is_relevant).tolist():
            values.append(average_precision(ranks, len(ranks)))
    return float(np.mean(values)) if values else 0.0
