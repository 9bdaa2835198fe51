"""The PCA compared with scikit-learn's and faiss's: seconds to fit and to project, agreement.

All of them centre, reduce 512 dimensions to 256 and whiten, with an exact decomposition.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.data import make_descriptors
from benchmarks.record import Figure
from spocdb.features.projection import Moments, fit, merge, project
from spocdb.projections import CHUNK_ROWS
from spocdb.records import Float32Array

DIM = 256
N_TIMED = 5
# Whitening: each component divided by the root of its eigenvalue.
WHITENED = -0.5

Embed = Callable[[Float32Array], Float32Array]


def run(n_rows: int) -> list[Figure]:
    """Measure spocdb's PCA of `n_rows` x 512 and each peer's."""
    rows = make_descriptors(n_rows)
    fit_seconds, embed = _timed(_ours, rows)
    project_seconds, ours = _timed(embed, rows)
    what = f"{n_rows:,} x {rows.shape[1]} to {DIM}"
    figures = []
    for name, fit_peer in _peers().items():
        peer_fit, peer_embed = _timed(fit_peer, rows)
        peer_project, theirs = _timed(peer_embed, rows)
        figures += [
            Figure(f"PCA fit, beside {name}", fit_seconds, "s", peer_fit, name, what),
            Figure(f"PCA project, beside {name}", project_seconds, "s", peer_project, name, what),
            Figure(f"PCA, least cosine to {name}", _least_cosine(ours, theirs), ""),
        ]
    return figures


def _ours(rows: Float32Array) -> Embed:
    # In chunks, as from the database, of which only sums are kept.
    moments = Moments.of(rows[:0])
    for begin in range(0, len(rows), CHUNK_ROWS):
        moments = merge(moments, Moments.of(rows[begin : begin + CHUNK_ROWS]))
    fitted = fit(moments, DIM)
    return lambda raw: project(raw, fitted)


def _peers() -> dict[str, Callable[[Float32Array], Embed]]:
    # Import before the timing.
    import faiss
    from sklearn.decomposition import PCA

    def scikit_learn(rows: Float32Array, solver: str) -> Embed:
        fitted = PCA(DIM, whiten=True, svd_solver=solver).fit(rows)
        return lambda raw: _normalised(fitted.transform(raw))

    def matrix(rows: Float32Array) -> Embed:
        fitted = faiss.PCAMatrix(rows.shape[1], DIM, WHITENED)
        fitted.train(rows)
        return lambda raw: _normalised(fitted.apply(raw))

    return {
        # Its default could be a randomised solver, with another result.
        "scikit-learn PCA": partial(scikit_learn, solver="covariance_eigh"),
        "scikit-learn PCA by SVD": partial(scikit_learn, solver="full"),
        # What it is given in float32 it computes in float32; spocdb adds up in float64.
        "scikit-learn PCA in float64": lambda rows: scikit_learn(
            np.asarray(rows, np.float64), solver="covariance_eigh"
        ),
        "faiss PCAMatrix": matrix,
    }


def _normalised(rows: Any) -> Float32Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-30), np.float32)


def _least_cosine(ours: Float32Array, theirs: Float32Array) -> float:
    """Compare row by row; a component's sign is arbitrary, so signs are aligned first."""
    signs = np.sign((ours * theirs).sum(axis=0))
    return float((ours * theirs * signs).sum(axis=1).min())


def _timed(function: Callable[[Float32Array], Any], rows: Float32Array) -> tuple[float, Any]:
    """Return the median of the seconds, after a first run that warms the caches, and the result."""
    seconds, result = [], function(rows)
    for _ in range(N_TIMED):
        began = time.perf_counter()
        result = function(rows)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result
