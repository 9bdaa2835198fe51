"""Checks of a projection: whether its numbers can be used, and whether it was fitted on enough.

The first run whenever a projection is read from a file or from the database. NumPy only, so that
`features` and `db` can share it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spocdb.records import Projection
from spocdb.wording import counted

# pgvector indexes a vector of 2,000 dimensions and a halfvec of 4,000: a longer embedding, or a
# longer raw descriptor, has no column and no index.
MOST_DIMS = 4000
# Components of `fit` are unit rows to within a millionth. Those of other programs may deviate more:
# wrong lengths are refused, wrong angles only cause a warning.
UNIT_TOLERANCE = 1e-2
ORTHOGONAL_TOLERANCE = 1e-3
# Tolerance for two bounds: the mean of unit vectors is at most one long, and the explained parts
# sum to at most one.
ROUNDING = 1e-2
# A head's bias is stored as the point that it takes to the origin, which is no mean. Farther away,
# float32 would blur the differences between descriptors.
MOST_OFFSET = 1e3
# In float32, whitening factors beyond these would become zero or infinite. `fit` on unit
# descriptors yields 1e-6 to 1e7.
LEAST_SCALE, MOST_SCALE = 1e-12, 1e12

# Images, or pairs of matching ones, for each dimension. Measured with `mini` on Holidays; see
# docs/explanation/evaluation.md, "How many dimensions".
ENOUGH_EACH = 3

NUMBERS = ("mean", "components", "scale", "singular_values", "explained")


def fault(projection: Projection, channels: int) -> str | None:
    """Return what is wrong with a projection of descriptors of `channels` dimensions, or None."""
    with np.errstate(all="ignore"):  # a sum that overflows is a fault, not a warning
        return next(_faults(projection, channels), None)


def scarcity(
    kind: str, dim: int, n_samples: int, settings: Mapping[str, Any], fitted_on: Mapping[str, Any]
) -> str | None:
    """Return that a projection was fitted on few images or pairs for its dimensions, or None.

    A PCA is fitted on images, a learned projection on pairs. Only whitening without regularisation
    amplifies the weakest components, and a head has weights of its own for each: both need more.
    """
    is_whitened = kind in ("pca", "discriminative") and settings.get("whiten", True)
    is_greedy = kind == "head" or (is_whitened and not settings.get("regularisation"))
    n_pairs = fitted_on.get("n_pairs")
    n = n_samples if n_pairs is None else n_pairs
    if not is_greedy or n >= ENOUGH_EACH * dim:
        return None
    what = counted(n, "image" if n_pairs is None else "matching pair")
    task = "a head of" if kind == "head" else "whitening"
    return (
        f"{what} {'is' if n == 1 else 'are'} few for {task} {counted(dim, 'dimension')}, "
        f"{ENOUGH_EACH * dim:,} or more are better"
    )


def skew(projection: Projection) -> float:
    """Return the largest cosine between two components: 0 where they are orthogonal."""
    components = projection.components.astype(np.float64)
    cosines = np.abs(components @ components.T)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max(initial=0))


def _faults(projection: Projection, channels: int) -> Iterator[str]:
    """Yield all faults. Shapes are checked first, because later checks rely on them."""
    yield from _shape_faults(projection, channels)
    for name in NUMBERS:
        if not np.isfinite(getattr(projection, name)).all():
            yield f"its {_spelled(name)} are not all finite numbers"
    if not ((projection.scale >= LEAST_SCALE) & (projection.scale <= MOST_SCALE)).all():
        yield f"its whitening factors are not all within {LEAST_SCALE:g} and {MOST_SCALE:g}"
    lengths = np.linalg.norm(projection.components.astype(np.float64), axis=1)
    if (np.abs(lengths - 1) > UNIT_TOLERANCE).any():
        yield "its components are not all of length one"
    distance = np.linalg.norm(projection.mean.astype(np.float64))
    if projection.kind == "head" and distance > MOST_OFFSET:
        yield f"its bias is that of a point {distance:g} from the origin, beyond {MOST_OFFSET:g}"
    elif projection.kind != "head" and distance > 1 + ROUNDING:
        yield "its mean is longer than any mean of descriptors, whose length is one"
    if (projection.singular_values < 0).any():
        yield "its singular values are not all zero or more"
    explained = projection.explained
    if (explained < 0).any() or explained.sum() > 1 + ROUNDING:
        yield "its explained parts of the variance are not parts of one"
    if projection.n_samples < 0:
        yield f"it was fitted on {projection.n_samples} images"


def _shape_faults(projection: Projection, channels: int) -> Iterator[str]:
    mean, components = projection.mean, projection.components
    if mean.ndim != 1 or components.ndim != 2 or len(mean) != components.shape[1]:
        yield f"its components are {components.shape} and its mean {mean.shape}"
    elif len(mean) != channels:
        yield f"it is for descriptors of {len(mean)} dimensions, its extractor's have {channels}"
    elif not len(components) <= channels <= MOST_DIMS:
        yield (
            f"it has {len(components)} components of {channels} dimensions, and there can be "
            f"{min(channels, MOST_DIMS)} of {MOST_DIMS}"
        )
    for name in ("scale", "singular_values", "explained"):
        shape = getattr(projection, name).shape
        if shape != components.shape[:1]:
            yield f"its {_spelled(name)} are {shape} for {components.shape} components"


def _spelled(name: str) -> str:
    return {
        "scale": "whitening factors",
        "explained": "explained parts",
        "mean": "mean's values",
    }.get(name, name.replace("_", " "))
