"""k-reciprocal re-ranking of a short list (Zhong, Zheng, Cao & Li, CVPR 2017).

Images that are among each other's nearest neighbours move up. Only the short list is used, a few
hundred embeddings.
"""

import numpy as np
from numpy.typing import NDArray

from spocdb.records import Float32Array, Float64Array

# The authors' parameters: neighbours, averaged neighbours, weight of the original distance.
K1, K2, LAMBDA = 20, 6, 0.3

Ranks = NDArray[np.int64]


def rerank(query: Float32Array, listed: Float32Array) -> Ranks:
    """Return the new order (n,) of the listed embeddings (n, N) for a query (N,); best first.

    All embeddings have length one.
    """
    if not len(listed):
        return np.empty(0, np.int64)
    every = np.vstack([query, listed]).astype(np.float64)
    # 1 - cosine, half of the squared distance. As in the paper, each row's maximum becomes 1.
    distances = np.maximum(1 - every @ every.T, 0)
    distances /= np.maximum(distances.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    order = np.argsort(distances, axis=1, kind="stable")
    encoded = _averaged(_encoded(distances, order), order)
    final = (1 - LAMBDA) * _jaccard(encoded) + LAMBDA * distances[0]
    ranks: Ranks = np.argsort(final[1:], kind="stable")
    return ranks


def _encoded(distances: Float64Array, order: Ranks) -> Float64Array:
    """Return each image's k-reciprocal neighbours as a row of weights that sum to one."""
    near, nearer = _reciprocal(order, K1), _reciprocal(order, round(K1 / 2))
    # Add a neighbour's own neighbours if more than two thirds of them are neighbours already.
    shared = near.astype(np.float64) @ nearer.T
    agreeing = near & (shared > 2 / 3 * nearer.sum(axis=1))
    neighbours = near | (agreeing.astype(np.float64) @ nearer > 0)
    weights = np.where(neighbours, np.exp(-distances), 0)
    encoded: Float64Array = weights / weights.sum(axis=1, keepdims=True)
    return encoded


def _reciprocal(order: Ranks, k: int) -> NDArray[np.bool_]:
    """Return (n, n): True where each image is among the k nearest of the other, or is the other."""
    forward = np.zeros(order.shape, np.bool_)
    np.put_along_axis(forward, order[:, : k + 1], True, axis=1)
    mutual: NDArray[np.bool_] = forward & forward.T
    return mutual


def _averaged(encoded: Float64Array, order: Ranks) -> Float64Array:
    """Average each row with the rows of its nearest neighbours: local query expansion."""
    averaged: Float64Array = encoded[order[:, :K2]].mean(axis=1)
    return averaged


def _jaccard(encoded: Float64Array) -> Float64Array:
    """Return the Jaccard distances (n,) of the first row, the query's, to all rows."""
    shared = np.minimum(encoded[0], encoded).sum(axis=1)
    # Each row sums to one, so the union of two rows is 2 - shared.
    distances: Float64Array = 1 - shared / (2 - shared)
    return distances
