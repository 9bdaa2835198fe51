"""Aggregation with a codebook: Fisher vectors and triangulation embedding of local deep features.

The SPoC paper compares SPoC with both (section 4). Local features are the positions of a feature
map: (P, C) -> L2 -> PCA to d -> encoded (D) -> power of 1/2 -> L2. A codebook is learned from
images outside the gallery and kept in a separate file, identified by its sha256 as weights are.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.records import Float32Array

Kind = Literal["fisher", "triangulation"]

# The dimension d of local features, which the papers leave open. 32 is usual for Fisher vectors of
# deep features. Triangulation (Jegou & Zisserman, CVPR 2014) gives d values per centroid: with one
# centroid an embedding of 256 dimensions needs all 512.
FISHER_DIM, TRIANGULATION_DIM, LEAST_TRIANGULATION_DIM = 32, 512, 64
# pgvector indexes vectors of at most 2,000 dimensions; PCA reduces longer descriptors.
LONGEST, REDUCED = 2000, 512
MOST_SAMPLES, MOST_ITERATIONS = 50_000, 60
POWER = 0.5
TINY = 1e-12

NEEDS = "it needs scikit-image and scikit-learn: run `pip install 'spocdb[eval]'`"


@dataclass(frozen=True, slots=True)
class Codebook:
    """A learned codebook: float32 `arrays` by name.

    Both kinds have `mean` (C,) and `components` (d, C), the local PCA. fisher has a mixture of
    Gaussians: `weights` (k,), `means` and `covariances` (k, d). triangulation has `centroids`
    (k, d), `origin` (kd,) and `whitening` (kd, kd). A codebook whose result would be too long for
    the database also has `reduced_mean` (D,) and `reduced_components` (M, D).
    """

    kind: Kind
    arrays: Mapping[str, Float32Array]

    @property
    def channels(self) -> int:
        """Return the dimension C of the local features that the codebook was learned from."""
        return len(self.arrays["mean"])

    @property
    def dim(self) -> int:
        """Return the dimension of the descriptor that `encode` returns."""
        if "reduced_components" in self.arrays:
            return len(self.arrays["reduced_components"])
        if self.kind == "fisher":
            k, d = self.arrays["means"].shape
            return int(k * (2 * d + 1))
        return len(self.arrays["origin"])


def encode(features: Float32Array, codebook: Codebook) -> Float32Array:
    """Aggregate an image's local features (P, C) into its descriptor (D,), of length one."""
    encoded: Any = _encode(features, codebook)
    arrays = codebook.arrays
    if "reduced_components" in arrays:
        encoded = (encoded - arrays["reduced_mean"]) @ arrays["reduced_components"].T
    return _of_length_one(encoded)


def fit(
    kind: Kind, k: int, maps: Callable[[], Iterable[Float32Array]], per_image: int = 100
) -> Codebook:
    """Learn a codebook of `k` Gaussians or centroids from images' local features (P, C).

    Each call of `maps` iterates over all images. The same maps give the same codebook.

    Raises:
        ConfigError: The kind is unknown, or scikit-image and scikit-learn are not installed.
        NotEnoughSamples: The images have too few local features for `k`.
    """
    if kind not in get_args(Kind):
        raise ConfigError(
            f"unknown kind of codebook {kind!r}: one of {', '.join(get_args(Kind))}",
            field="kind",
            bound=get_args(Kind),
        )
    with _library():  # fail before the extraction if the library is missing
        import sklearn.mixture  # noqa: F401
    samples = _sample(maps(), per_image)
    arrays = _local_pca(samples, _local_dim(kind, k))
    local = _local(samples, kind, arrays)
    if len(local) < 10 * k:
        raise NotEnoughSamples(
            f"{len(local)} local features are too few for {k} centres: give more images",
            field="k",
            bound=f"at most {len(local)}",
        )
    arrays |= _mixture(local, k) if kind == "fisher" else _triangles(local, k)
    codebook = Codebook(kind, arrays)
    if codebook.dim > LONGEST:
        codebook = Codebook(kind, arrays | _reduction(maps(), codebook))
    return codebook


def _encode(features: Float32Array, codebook: Codebook) -> Float32Array:
    local = _local(features, codebook.kind, codebook.arrays)
    if codebook.kind == "fisher":
        return _fisher(local, codebook.arrays)
    return _triangulation(local, codebook.arrays)


def _local(features: Float32Array, kind: Kind, arrays: Mapping[str, Float32Array]) -> Float32Array:
    local: Any = (_normalised(features) - arrays["mean"]) @ arrays["components"].T
    # Triangulation uses directions only, so lengths are normalised.
    return _normalised(local) if kind == "triangulation" else local


def _fisher(local: Float32Array, arrays: Mapping[str, Float32Array]) -> Float32Array:
    with _library():
        from skimage.feature import fisher_vector
        from sklearn.mixture import GaussianMixture
    mixture = GaussianMixture(len(arrays["weights"]), covariance_type="diag")
    mixture.weights_ = arrays["weights"].astype(np.float64)
    mixture.means_ = arrays["means"].astype(np.float64)
    mixture.covariances_ = arrays["covariances"].astype(np.float64)
    mixture.precisions_cholesky_ = 1 / np.sqrt(mixture.covariances_)
    return _powered(fisher_vector(local.astype(np.float64), mixture))  # type: ignore[no-untyped-call]


def _triangulation(local: Float32Array, arrays: Mapping[str, Float32Array]) -> Float32Array:
    anchored = _anchored(local, arrays["centroids"]).sum(axis=0)
    summed = arrays["whitening"] @ (anchored - len(local) * arrays["origin"])
    return _powered(summed)


def _anchored(local: Float32Array, centroids: Float32Array) -> Float32Array:
    """Return the directions (P, kd) from every centroid to every feature."""
    differences = local[:, None, :] - centroids
    lengths = np.linalg.norm(differences, axis=2, keepdims=True)
    anchored: Float32Array = (differences / np.maximum(lengths, TINY)).reshape(len(local), -1)
    return anchored


def _powered(encoded: Any) -> Float32Array:
    return _of_length_one(np.sign(encoded) * np.abs(encoded) ** POWER)


def _of_length_one(vector: Any) -> Float32Array:
    result: Float32Array = _normalised(vector[None])[0]
    return result


def _normalised(rows: Any) -> Float32Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    normalised: Float32Array = (rows / np.maximum(lengths, TINY)).astype(np.float32)
    return normalised


def _sample(maps: Iterable[Float32Array], per_image: int) -> Float32Array:
    rng = np.random.default_rng(0)
    picked = [m[rng.permutation(len(m))[:per_image]] for m in maps]
    if not picked:
        raise NotEnoughSamples("there is no image to learn a codebook from")
    samples = np.concatenate(picked)
    return samples[rng.permutation(len(samples))[:MOST_SAMPLES]]


def _local_dim(kind: Kind, k: int) -> int:
    return FISHER_DIM if kind == "fisher" else max(TRIANGULATION_DIM // k, LEAST_TRIANGULATION_DIM)


def _local_pca(samples: Float32Array, dim: int) -> dict[str, Float32Array]:
    mean, components = _pca(_normalised(samples), dim)
    return {"mean": mean, "components": components}


def _pca(rows: Float32Array, dim: int) -> tuple[Float32Array, Float32Array]:
    """Return the mean and at most `dim` principal directions.

    Fewer rows than columns: SVD of the rows. Otherwise: eigenvectors of the scatter.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    if len(rows) < rows.shape[1]:
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        components = directions[: min(dim, len(rows) - 1)]
    else:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        components = vectors[:, : -dim - 1 : -1].T
    return mean.astype(np.float32), components.astype(np.float32)


def _mixture(local: Float32Array, k: int) -> dict[str, Float32Array]:
    with _library():
        from sklearn.mixture import GaussianMixture
    mixture = GaussianMixture(
        k, covariance_type="diag", max_iter=MOST_ITERATIONS, tol=1e-3, random_state=0
    )
    with warnings.catch_warnings():
        # Ignore the convergence warning: a nearly converged mixture suffices.
        warnings.simplefilter("ignore")
        mixture.fit(local)
    return {
        "weights": mixture.weights_.astype(np.float32),
        "means": mixture.means_.astype(np.float32),
        "covariances": mixture.covariances_.astype(np.float32),
    }


def _triangles(local: Float32Array, k: int) -> dict[str, Float32Array]:
    """Learn the centroids and the whitening of the directions from them to the features.

    The authors drop the d strongest directions. With one centroid that would drop all, so none are
    dropped here, whatever the number of centroids.
    """
    with _library():
        from sklearn.cluster import KMeans
    centroids = KMeans(k, n_init=1, random_state=0).fit(local).cluster_centers_.astype(np.float32)
    anchored = _anchored(local[: MOST_SAMPLES // 2], centroids)
    origin = anchored.mean(axis=0)
    centred = (anchored - origin).astype(np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    # The directions from several centroids are redundant. Components of almost no variance are
    # noise.
    kept = variances > 1e-4 * variances[-1]
    scale = np.where(kept, 1 / np.sqrt(np.maximum(variances, TINY)), 0)
    whitening = (directions * scale).T[::-1]
    return {
        "centroids": centroids,
        "origin": origin.astype(np.float32),
        "whitening": np.ascontiguousarray(whitening, np.float32),
    }


def _reduction(maps: Iterable[Float32Array], codebook: Codebook) -> dict[str, Float32Array]:
    encoded = np.stack([_encode(features, codebook) for features in maps])
    mean, components = _pca(encoded, REDUCED)
    return {"reduced_mean": mean, "reduced_components": components}


@contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"pooling with a codebook is optional: {NEEDS}") from error
