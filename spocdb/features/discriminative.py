"""Discriminative whitening: damp what differs between matching images, keep the rest.

Linear discriminant projections (Mikolajczyk & Matas 2007), as Radenovic, Tolias & Chum use them
("Fine-tuning CNN image retrieval with no human annotation", section "Whitening and dimensionality
reduction"). C_S is the covariance of the differences of matching images. Descriptors are whitened
by C_S^(-1/2), then rotated by the PCA of what is left. Its axes are those of the non-matching
pairs: their covariance is that of all pairs less C_S, which is the identity after whitening.

A class of m images counts as m - 1 pairs, as many as are independent. So a large class does not
outweigh many small ones. For classes of one size, such as pairs or views, this is the paper's C_S.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spocdb.errors import NotEnoughSamples
from spocdb.features.projection import (
    RANK_TOLERANCE,
    Moments,
    check_count,
    check_options,
    check_rank,
    with_fixed_signs,
)
from spocdb.records import Float32Array, Float64Array, Projection

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Within:
    """The scatter (C, C) of images about the mean of their class, and their numbers.

    `last` is the class that the last chunk ended with, and may go on in the next one: its number,
    its images so far and their mean (C,).
    """

    n_images: int
    n_classes: int
    scatter: Float64Array
    last: tuple[int, int, Float64Array] | None = None

    @classmethod
    def nothing(cls, channels: int) -> "Within":
        """Return the sums of no images."""
        return cls(0, 0, np.zeros((channels, channels)))

    @property
    def n_pairs(self) -> int:
        """Return the number of independent pairs of matching images."""
        return self.n_images - self.n_classes

    @property
    def moments(self) -> Moments:
        """Return the moments of the pairs' differences, whose mean is zero."""
        return Moments(self.n_pairs, np.zeros(len(self.scatter)), self.scatter)


def extended(sums: Within, chunk: Float32Array, classes: Int64Array) -> Within:
    """Add a chunk of descriptors (n, C), which are sorted by class (n,) over all chunks."""
    if not len(chunk):
        return sums
    values = chunk.astype(np.float64)
    numbers, begins, counts = np.unique(classes, return_index=True, return_counts=True)
    means = np.add.reduceat(values, begins) / counts[:, None]
    centred = values - np.repeat(means, counts, axis=0)
    scatter = sums.scatter + centred.T @ centred
    n_new, ends = len(numbers), [*zip(numbers.tolist(), counts.tolist(), means, strict=True)]
    if sums.last and sums.last[0] == numbers[0]:
        # The class goes on: combine its two parts (Chan, Golub & LeVeque 1979).
        (number, before, mean), (_, count, first) = sums.last, ends[0]
        shift, whole = first - mean, before + count
        scatter += np.outer(shift, shift) * (before * count / whole)
        ends[0] = (number, whole, mean + shift * (count / whole))
        n_new -= 1
    return Within(sums.n_images + len(chunk), sums.n_classes + n_new, scatter, ends[-1])


def fit(
    moments: Moments,
    pairs: Moments,
    dim: int,
    regularisation: float,
    settings: dict[str, Any],
) -> Projection:
    """Fit a discriminative whitening with the `dim` components that distinguish images most.

    `moments` are those of all images, `pairs` those of the differences of matching ones, as
    `Within.moments`. `regularisation` adds this fraction of the mean variance to each variance of
    C_S. `settings` say where the pairs come from. `explained` are parts of the variance of the
    whitened descriptors.

    Raises:
        ConfigError: An option is out of range.
        NotEnoughSamples: There are too few pairs, or the samples span less than `dim` dimensions.
    """
    check_options(len(moments.mean), dim, regularisation)
    check_count(moments.count, dim)
    whitening = _whitening(pairs, regularisation)
    eigenvalues, eigenvectors = np.linalg.eigh(whitening @ moments.scatter @ whitening.T)
    check_rank(eigenvalues, moments.count, dim)
    strongest = eigenvalues[: -dim - 1 : -1]
    rows = eigenvectors[:, : -dim - 1 : -1].T @ whitening
    scale = np.linalg.norm(rows, axis=1)
    return Projection(
        mean=moments.mean.astype(np.float32),
        components=with_fixed_signs(rows / scale[:, None]).astype(np.float32),
        scale=scale,
        singular_values=np.sqrt(strongest),
        explained=strongest / eigenvalues.sum(),
        n_samples=moments.count,
        settings={"dim": dim, "regularisation": regularisation, **settings},
        kind="discriminative",
    )


def _whitening(pairs: Moments, regularisation: float) -> Float64Array:
    """Return the rows (C, C) that take the covariance of the pairs' differences to the identity."""
    variances, axes = np.linalg.eigh(pairs.scatter / pairs.count)
    shrunk = variances + regularisation * variances.mean()
    rank = int((shrunk > RANK_TOLERANCE * shrunk[-1]).sum())
    if rank < len(shrunk):
        raise NotEnoughSamples(
            f"{pairs.count} pairs of matching images differ in only {rank} of {len(shrunk)} "
            "dimensions: bring more pairs, or use `regularisation=0.1`",
            field="regularisation",
            bound="more than 0",
        )
    whitening: Float64Array = (axes / np.sqrt(shrunk)).T
    return whitening
