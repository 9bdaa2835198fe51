"""Raw descriptors -> embeddings: centring, PCA, whitening, L2 (section 3.2 of the SPoC paper).

Fitting uses NumPy in float64; its cost is far below the network's.
"""

from dataclasses import dataclass

import numpy as np

from spocdb import checks
from spocdb.errors import (
    DescriptorError,
    DimensionMismatch,
    NotEnoughSamples,
)
from spocdb.records import Float32Array, Float64Array, Projection
from spocdb.soundness import ENOUGH_EACH, scarcity

# Eigenvalues below this fraction of the largest are rounding errors.
RANK_TOLERANCE = 1e-10
TINY = np.finfo(np.float32).tiny
# For `advice`. Measured with `mini` on Holidays; see
# docs/explanation/evaluation.md, "How many dimensions".
ENOUGH_EXPLAINED = 0.8
# Above this, whitening has no effect and the scale can leave float32's range.
MOST_REGULARISATION = 1e6


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean (C,) and scatter (C, C) of raw descriptors, which suffice for a PCA.

    The scatter is the sum of the outer products of the deviations from the mean.
    """

    count: int
    mean: Float64Array
    scatter: Float64Array

    @classmethod
    def of(cls, chunk: Float32Array) -> "Moments":
        """Compute the moments of a chunk (n, C), which may be empty."""
        values = chunk.astype(np.float64)
        mean = values.sum(axis=0) / max(len(values), 1)
        values -= mean
        # Of a matrix with itself BLAS computes one triangle.
        return cls(len(values), mean, values.T @ values)


def merge(a: Moments, b: Moments) -> Moments:
    """Combine the moments of two disjoint sets (Chan, Golub & LeVeque 1979).

    Raises:
        DimensionMismatch: The sets have descriptors of different dimensions.
    """
    if len(a.mean) != len(b.mean):
        raise DimensionMismatch(len(a.mean), len(b.mean))
    count = a.count + b.count
    if count == 0:
        return a
    shift = b.mean - a.mean
    mean = a.mean + shift * (b.count / count)
    scatter = a.scatter + b.scatter
    scatter += np.outer(shift, shift) * (a.count * b.count / count)
    return Moments(count, mean, scatter)


def fit(
    moments: Moments,
    dim: int,
    *,
    whiten: bool = True,
    centre: bool = True,
    regularisation: float = 0.0,
) -> Projection:
    """Fit a PCA with the `dim` components of most variance, strongest first.

    Whitening divides by the standard deviations. This equals the paper's division by the singular
    values up to a factor, which the final L2 normalisation removes. `regularisation` first adds
    this fraction of the mean variance to each variance. Without `centre` the moments are about the
    origin. Each component's largest entry is positive, so that the same moments give the same
    projection.

    Raises:
        ConfigError: An option is out of range.
        NotEnoughSamples: The samples span less than `dim` dimensions.
    """
    check_options(len(moments.mean), dim, regularisation)
    check_count(moments.count, dim)
    origin = moments.mean if centre else np.zeros_like(moments.mean)
    scatter = scatter_of(moments, centre=centre)
    eigenvalues, eigenvectors = np.linalg.eigh(scatter)
    check_rank(eigenvalues, moments.count, dim)
    strongest, components = eigenvalues[: -dim - 1 : -1], eigenvectors[:, : -dim - 1 : -1].T
    added = regularisation * eigenvalues.mean()
    scale = np.sqrt((moments.count - 1) / (strongest + added)) if whiten else np.ones(dim)
    return Projection(
        mean=origin.astype(np.float32),
        components=with_fixed_signs(components).astype(np.float32),
        scale=scale,
        singular_values=np.sqrt(strongest),
        explained=strongest / np.trace(scatter),
        n_samples=moments.count,
        settings=_settings(dim, whiten, centre, regularisation),
        kind="pca",
    )


def advice(moments: Moments, projection: Projection) -> list[str]:
    """Return warnings that cost recall: too few dimensions, or too few images for whitening."""
    lines = []
    dim, kept = projection.dim, float(projection.explained.sum())
    if kept < ENOUGH_EXPLAINED:
        enough = _enough_dimensions(moments, centre=bool(projection.settings["centre"]))
        line = f"warning: {dim} dimensions keep {kept:.0%} of the variance, which costs recall: "
        if not scarcity("pca", enough, moments.count, projection.settings, {}):
            line += f"{enough} keep {ENOUGH_EXPLAINED:.0%} (`dim={enough}`)"
        else:
            line += (
                f"{enough} would keep {ENOUGH_EXPLAINED:.0%}, but {moments.count} images are few "
                f"for whitening those: fit on {ENOUGH_EACH * enough} or more"
            )
        lines.append(line)
    if few := scarcity("pca", dim, moments.count, projection.settings, {}):
        lines.append(f"warning: {few}: fit on more, or with `whiten=False`")
    return lines


def _enough_dimensions(moments: Moments, *, centre: bool) -> int:
    variances = np.linalg.eigvalsh(scatter_of(moments, centre=centre))[::-1]
    together = np.cumsum(variances) / variances.sum()
    return int(np.searchsorted(together, ENOUGH_EXPLAINED)) + 1


def scatter_of(moments: Moments, *, centre: bool) -> Float64Array:
    """Return the scatter about the mean, or about the origin."""
    if centre:
        return moments.scatter
    about_origin: Float64Array = moments.scatter + moments.count * np.outer(
        moments.mean, moments.mean
    )
    return about_origin


def raw_projection(channels: int) -> Projection:
    """Return the projection without components: the embedding is the normalised raw descriptor."""
    none = np.empty(0, np.float64)
    return Projection(
        mean=np.zeros(channels, np.float32),
        components=np.empty((0, channels), np.float32),
        scale=none,
        singular_values=none,
        explained=none,
        n_samples=0,
        settings=_settings(channels, whiten=False, centre=False, regularisation=0.0),
        kind="raw",
    )


def project(raw: Float32Array, projection: Projection) -> Float32Array:
    """Project raw descriptors (n, C) to embeddings (n, N) of length one.

    A row equal to the mean has no direction and gives zeros.

    Raises:
        DimensionMismatch: The descriptors are not those of the projection's extractor.
        DescriptorError: The embeddings are not finite, or those of several rows are all zero. Such
            embeddings must not be stored.
    """
    if raw.shape[1] != len(projection.mean):
        raise DimensionMismatch(len(projection.mean), raw.shape[1])
    values = raw - projection.mean
    if len(projection.components):
        # float32 is exact enough for centred values (error below 1e-6) and twice as fast.
        values = values @ projection.components.T
        values *= projection.scale.astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise DescriptorError(
            "the projection gives embeddings that are not finite: fit it again (`db.pca.fit()`)"
        )
    if len(lengths) > 1 and not lengths.any():
        raise DescriptorError(
            f"the embeddings of {len(lengths)} images are all zero: check the weights file, "
            "or fit the projection again (`db.pca.fit()`)"
        )
    embeddings: Float32Array = values / np.maximum(lengths, TINY)
    return embeddings


def with_fixed_signs(components: Float64Array) -> Float64Array:
    """Return components (K, C) each with the sign that makes its largest entry positive."""
    largest = np.abs(components).argmax(axis=1)
    signs: Float64Array = np.sign(components[np.arange(len(components)), largest])
    return components * signs[:, None]


def check_options(channels: int, dim: int, regularisation: float = 0.0) -> None:
    """Check the options of a fit before any samples are read.

    Raises:
        ConfigError: An option is out of range.
    """
    checks.whole("dim", dim, 1, channels, f"1 to {channels}, the raw descriptor's")
    bound = f"zero or more, at most {MOST_REGULARISATION:,.0f}"
    checks.number("regularisation", regularisation, 0, MOST_REGULARISATION, bound)


_REMEDY = (
    "ingest more, ask for a lower `dim=...`, or fit on another folder (`db.ingest_beside(FOLDER)`)"
)


def check_count(count: int, dim: int) -> None:
    """Check that there are more images than dimensions.

    Raises:
        NotEnoughSamples: There are not.
    """
    if count <= dim:
        raise NotEnoughSamples(
            f"{count} images are too few for {dim} dimensions, {dim + 1} are the least: {_REMEDY}",
            field="dim",
            bound=f"less than {count}",
        )


def check_rank(eigenvalues: Float64Array, count: int, dim: int) -> None:
    """Check that `count` images span `dim` dimensions, by the eigenvalues of their scatter.

    Raises:
        NotEnoughSamples: They do not.
    """
    rank = int((eigenvalues > RANK_TOLERANCE * eigenvalues[-1]).sum())
    if rank < dim:
        raise NotEnoughSamples(
            f"the {count} images differ in only {rank} dimensions, not in {dim}: {_REMEDY}",
            field="dim",
            bound=f"at most {rank}",
        )


def _settings(dim: int, whiten: bool, centre: bool, regularisation: float) -> dict[str, object]:
    return {"dim": dim, "whiten": whiten, "centre": centre, "regularisation": regularisation}
