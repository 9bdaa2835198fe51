"""How much to shrink a whitening: the amount that makes images which were not fitted most likely.

Whitening divides by standard deviations, and the weakest are estimated worst: few images make them
too small. Adding the same number to all variances (ridge shrinkage) mends that. Here the number is
chosen as for any Gaussian model, by cross-validated likelihood (Friedman 1989, Regularized
Discriminant Analysis, chooses its shrinkage by cross-validation too).
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from spocdb.features.projection import Moments, merge, scatter_of
from spocdb.records import Float64Array

N_FOLDS = 5
# Parts of the mean variance; a fixed grid, so that the same images give the same number anywhere.
CHOICES = np.round(np.logspace(-5, 1, 61), 7)


def chosen(folds: Sequence[Moments], *, centre: bool = True) -> float:
    """Choose the regularisation of `projection.fit` under which each fold is likeliest.

    `folds` are the moments of disjoint parts of the images. Each part's likelihood is that of a
    Gaussian with the mean and the regularised covariance of the other parts. Folds without images
    are left out; 0 if fewer than two are left.
    """
    filled = [fold for fold in folds if fold.count]
    if len(filled) < 2:
        return 0.0
    likelihoods = np.zeros(len(CHOICES))
    for index, held_out in enumerate(filled):
        others = reduce(merge, [*filled[:index], *filled[index + 1 :]])
        likelihoods += _likelihoods(others, held_out, centre=centre)
    return float(CHOICES[likelihoods.argmax()])


def _likelihoods(fitted: Moments, held_out: Moments, *, centre: bool) -> Float64Array:
    """Return the log-likelihood of a fold for each choice, up to a constant."""
    covariance = scatter_of(fitted, centre=centre) / max(fitted.count - 1, 1)
    variances, axes = np.linalg.eigh(covariance)
    origin = fitted.mean if centre else np.zeros_like(fitted.mean)
    shift = axes.T @ (held_out.mean - origin)
    # The sum of squares of the held-out images along each axis, about the fitted mean.
    squares = (axes * (held_out.scatter @ axes)).sum(axis=0) + held_out.count * shift**2
    added = CHOICES[:, None] * variances.mean()
    expected = np.maximum(variances, 0) + np.maximum(added, np.finfo(np.float64).tiny)
    unlikely: Float64Array = (held_out.count * np.log(expected) + squares / expected).sum(axis=1)
    return -unlikely
