"""Embeddings -> positions in two dimensions: the first two components, or UMAP.

UMAP: McInnes, Healy & Melville, arXiv 1802.03426, by umap-learn.
"""

import importlib.util
import logging
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from spocdb import machine
from spocdb.errors import DescriptorError
from spocdb.features.projection import Moments, with_fixed_signs
from spocdb.records import Float32Array, Float64Array, Projection

# With fewer images there are no neighbourhoods to keep.
FEWEST_FOR_UMAP = 10
# Bytes that UMAP takes at its peak, for each number of an embedding and for each neighbour of an
# image. An upper bound: 100,000 embeddings (256) with 15 neighbours took 0.6 GB, not 0.9.
BYTES_EACH_NUMBER, BYTES_EACH_NEIGHBOUR = 12, 400
# UMAP begins with the components, as broad as this, so that clusters keep their places.
BEGINNING, NOISE = 10.0, 1e-3
SECONDS_BETWEEN_LINES = 10.0

log = logging.getLogger(__name__)


def first_components(chunks: Iterable[Float32Array], projection: Projection) -> Float32Array:
    """Return the first two coordinates (n, 2) of embeddings (n, N), with the whitening undone.

    The components are sorted by their variance, and dividing by the whitening's scale restores it:
    so the first axis is the direction in which raw descriptors differ most.
    """
    scale = projection.scale[:2].astype(np.float32)
    return _plane(np.concatenate([chunk[:, :2] / scale for chunk in chunks]))


def main_axes(moments: Moments) -> Float64Array:
    """Return the two directions (2, N) in which embeddings differ most, for those without a PCA."""
    _, vectors = np.linalg.eigh(moments.scatter)
    return with_fixed_signs(vectors[:, :-3:-1].T)


def along(chunks: Iterable[Float32Array], mean: Float64Array, axes: Float64Array) -> Float32Array:
    """Return the positions (n, 2) of embeddings (n, N) along axes (2, N) through their mean."""
    found = [(chunk - mean) @ axes.T for chunk in chunks]
    return _plane(np.concatenate(found).astype(np.float32))


def _plane(columns: Float32Array) -> Float32Array:
    """Return (n, 2) of (n, 1 or 2): a single dimension lies on a line."""
    return np.pad(columns, ((0, 0), (0, 2 - columns.shape[1])))


def why_no_umap() -> str | None:
    """Return why umap-learn cannot be used, in a line, or None if it can; this loads it."""
    if importlib.util.find_spec("umap") is None:
        return "umap-learn is not installed (`pip install 'spocdb[map]'`)"
    try:
        with _contained():
            from umap import UMAP  # noqa: F401
    # Numba's import raises various errors beside a NumPy that it does not know; and there is
    # another package named umap.
    except Exception as exc:
        said = str(exc).strip().partition("\n")[0] or type(exc).__name__
        return f"umap-learn cannot be imported: {said} (`pip install -U 'spocdb[map]'`)"
    return None


@contextmanager
def _contained() -> Iterator[None]:
    """Keep to itself what UMAP warns of, and what it changes for others in this process.

    Its warnings are about itself and the libraries below it, never about the images. When Numba
    starts its threads, it sets the number of threads of OpenMP, which torch shares, for the thread
    that asks: for one that ends at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numba

        with ThreadPoolExecutor(1) as another:
            another.submit(numba.get_num_threads).result()
        yield


def umap_bytes(n: int, dim: int, neighbours: int) -> int:
    """Return about how much memory UMAP takes for n embeddings (dim), these included."""
    return n * (BYTES_EACH_NUMBER * dim + BYTES_EACH_NEIGHBOUR * neighbours)


def umap_positions(
    embeddings: Float32Array,
    beginning: Float32Array,
    *,
    neighbours: int,
    min_distance: float,
    seed: int | None,
) -> Float32Array:
    """Return the positions (n, 2) of embeddings (n, N) by UMAP, which starts at `beginning` (n, 2).

    Distances are Euclidean; between vectors of length one they have the order of cosine distances.
    The same seed gives the same positions, computed by one core; without one all cores compute.

    Raises:
        DescriptorError: the result is not finite.
    """
    noise = np.random.default_rng(seed).normal(0, NOISE, beginning.shape)
    with _contained():
        from umap import UMAP

        layout = UMAP(
            n_neighbors=min(neighbours, len(embeddings) - 1),
            min_dist=min_distance,
            metric="euclidean",
            init=_spread(beginning) + noise.astype(np.float32),
            random_state=seed,
            n_jobs=machine.n_cores() if seed is None else 1,
            tqdm_kwds={"disable": False, "file": _Rounds(), "bar_format": "{n_fmt} of {total_fmt}"},
        )
        found: Float32Array = layout.fit_transform(embeddings).astype(np.float32)
    if not np.isfinite(found).all():
        raise DescriptorError("UMAP gives positions that are not finite: try `method='components'`")
    return found


def _spread(positions: Float32Array) -> Float32Array:
    """Return positions around zero, at most BEGINNING away."""
    centred: Float32Array = positions - positions.mean(axis=0)
    most = float(np.abs(centred).max())
    return centred * np.float32(BEGINNING / most) if most else centred


class _Rounds:
    """A file that tqdm writes "120 of 500" to; logs it now and then."""

    def __init__(self) -> None:
        self._logged = time.monotonic()

    def write(self, text: str) -> None:
        is_due = time.monotonic() - self._logged > SECONDS_BETWEEN_LINES
        if is_due and (count := text.strip()) and not count.startswith("0 "):
            self._logged = time.monotonic()
            log.info("laying out: %s rounds", count)

    def flush(self) -> None:
        """Do nothing: no text is kept."""
