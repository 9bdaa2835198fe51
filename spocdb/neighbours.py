"""The nearest pairs of some embeddings with a whole collection, compared exactly, in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spocdb.records import Float32Array, Float64Array

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Pairs of a query and an image: `queries` (n,) by number, `ids` (n,), `distances` (n,).

    They are all pairs up to the distance `limit`, in no order.
    """

    queries: Int64Array
    ids: Int64Array
    distances: Float64Array
    limit: float


def nearest(
    queries: Float32Array,
    pages: Iterable[tuple[Int64Array, Float32Array]],
    limit: float,
    most: int,
) -> Nearest:
    """Return the pairs of queries (m, N) with the images of all pages up to a distance.

    A page is ids (n,) and embeddings (n, N). If there are more than `most` pairs, only the nearest
    are returned, and the limit is their distance. At most twice as many are in memory.
    """
    nothing = np.empty(0, np.int64)
    kept = Nearest(nothing, nothing, np.empty(0), limit)
    for ids, embeddings in pages:
        distances = 1 - queries @ embeddings.T
        at = np.nonzero(distances <= kept.limit)
        kept = Nearest(
            np.concatenate([kept.queries, at[0]]),
            np.concatenate([kept.ids, ids[at[1]]]),
            np.concatenate([kept.distances, distances[at]]),
            kept.limit,
        )
        if len(kept.ids) > 2 * most:
            kept = _cut(kept, most)
    return _cut(kept, most) if len(kept.ids) > most else kept


def _cut(kept: Nearest, most: int) -> Nearest:
    limit = float(np.partition(kept.distances, most - 1)[most - 1])
    # Pairs at the limit itself may have been left out before.
    near = kept.distances < limit
    return Nearest(
        kept.queries[near], kept.ids[near], kept.distances[near], np.nextafter(limit, -1)
    )
