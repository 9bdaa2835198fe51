"""Measures of one query's ranking. Ranks are 0-based and ascending; ignored images have none."""

from collections.abc import Callable, Sequence

import numpy as np

from spocdb.evaluation.benchmark import Query
from spocdb.records import Float64Array

RECALL_LEVELS = np.linspace(0, 1, 101)


def ranks_of(ranking: Sequence[str], query: Query) -> list[int]:
    """Return the ranks of the relevant images in a ranking of names, without ignored ones."""
    counted = (name for name in ranking if name not in query.ignored)
    return [rank for rank, name in enumerate(counted) if name in query.relevant]


def average_precision(ranks: Sequence[int], n_relevant: int) -> float:
    """Return the area under the precision-recall curve, using trapezoids.

    Same as INRIA's holidays_map.py, Oxford's compute_ap.cpp and revisitop's evaluate.py: each
    trapezoid averages the precision before and at a relevant image. Missed images add nothing.
    """
    area = 0.0
    for n_found, rank in enumerate(ranks):
        before = n_found / rank if rank else 1.0
        area += (before + (n_found + 1) / (rank + 1)) / 2
    return area / n_relevant


def found_in_four(ranks: Sequence[int], n_relevant: int) -> float:
    """Count the relevant images among the first four: UKBench's score, 4 x recall@4."""
    return float(sum(rank < 4 for rank in ranks))


def precision_at_ten(ranks: Sequence[int], n_relevant: int) -> float:
    """Return the precision of the first ten, or up to the last relevant if earlier (revisitop)."""
    k = min(ranks[-1] + 1, 10) if len(ranks) == n_relevant else 10
    return sum(rank < k for rank in ranks) / k


def recall_at_ten(ranks: Sequence[int], n_relevant: int) -> float:
    """Return the fraction of the relevant images among the first ten."""
    return sum(rank < 10 for rank in ranks) / n_relevant


# The mean over all queries is the benchmark's figure.
MEASURES: dict[str, Callable[[Sequence[int], int], float]] = {
    "mAP": average_precision,
    "4 x recall@4": found_in_four,
    "mP@10": precision_at_ten,
    "recall@10": recall_at_ten,
}
# The number of results that a measure needs; the others need the whole ranking.
DEPTH = {"4 x recall@4": 4, "mP@10": 10, "recall@10": 10}


def depth(query: Query, measures: Sequence[str], n_images: int) -> int:
    """Return the number of results that the measures need of a query."""
    deepest = max(DEPTH.get(measure, n_images) for measure in measures)
    return min(n_images, deepest + len(query.ignored))


def precision_curve(ranks: Sequence[int], n_relevant: int) -> Float64Array:
    """Return the interpolated precision at `RECALL_LEVELS`: the best at that recall or higher."""
    precisions = np.zeros(n_relevant)
    precisions[: len(ranks)] = (np.arange(len(ranks)) + 1) / (np.asarray(ranks) + 1.0)
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    needed = np.maximum(np.ceil(RECALL_LEVELS * n_relevant - 1e-9).astype(int), 1)
    curve: Float64Array = best[needed - 1]
    return curve
