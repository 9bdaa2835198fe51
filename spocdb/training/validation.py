"""How well a network under training retrieves what was held out."""

from collections.abc import Sequence

import numpy as np

from spocdb.evaluation.measures import average_precision
from spocdb.records import Float32Array


def mean_average_precision(descriptors: Float32Array, labels: Sequence[str]) -> float:
    """Return the mAP of every image as a query for the others of its label, it left out.

    `descriptors` (n, C) of length one; by comparing all, in the benchmarks' measure. 0 if no label
    is there twice.
    """
    numbers = np.unique(labels, return_inverse=True)[1]
    values = []
    for i, row in enumerate(descriptors):
        order = np.argsort(-(descriptors @ row), kind="stable")
        is_relevant = numbers[order[order != i]] == numbers[i]
        if ranks := np.flatnonzero(is_relevant).tolist():
            values.append(average_precision(ranks, len(ranks)))
    return float(np.mean(values)) if values else 0.0
