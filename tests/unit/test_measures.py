"""Hand-computed answers; the formulas are those of the benchmarks' own programs."""

import numpy as np
import pytest

from spocdb.evaluation import measures
from spocdb.evaluation.benchmark import Query


@pytest.mark.parametrize(
    ("ranks", "n_relevant", "expected"),
    [
        ([0], 1, 1.0),
        ([0, 1, 2], 3, 1.0),
        # (0 + 1/2) / 2
        ([1], 1, 0.25),
        # ((1 + 1) / 2 + (1/2 + 2/3) / 2) / 2
        ([0, 2], 2, (1 + 7 / 12) / 2),
        # An image that is not found adds nothing.
        ([0], 2, 0.5),
        ([], 3, 0.0),
    ],
)
def test_average_precision_is_by_trapezoids(
    ranks: list[int], n_relevant: int, expected: float
) -> None:
    assert measures.average_precision(ranks, n_relevant) == pytest.approx(expected)


def test_average_precision_is_oxfords_loop() -> None:
    """compute_ap.cpp goes through the ranking and keeps the previous recall and precision."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        relevant = rng.random(40) < 0.2
        n_relevant = max(int(relevant.sum()), 1)
        area, recall, precision, found = 0.0, 0.0, 1.0, 0
        for rank, is_relevant in enumerate(relevant):
            found += int(is_relevant)
            new_recall, new_precision = found / n_relevant, found / (rank + 1)
            area += (new_recall - recall) * (precision + new_precision) / 2
            recall, precision = new_recall, new_precision
        ranks = np.flatnonzero(relevant).tolist()
        assert measures.average_precision(ranks, n_relevant) == pytest.approx(area)


def test_what_is_ignored_moves_the_others_up() -> None:
    query = Query("q", frozenset({"a", "b"}), frozenset({"q", "junk"}))
    assert measures.ranks_of(["q", "a", "junk", "x", "b"], query) == [0, 2]


def test_ukbench_counts_the_first_four() -> None:
    assert measures.found_in_four([0, 1, 3, 4], 4) == 3


def test_precision_at_ten_stops_where_all_are_found() -> None:
    assert measures.precision_at_ten([0, 1], 2) == 1.0
    assert measures.precision_at_ten([0, 3], 2) == 0.5
    assert measures.precision_at_ten([0, 4, 30], 3) == pytest.approx(0.2)
    assert measures.precision_at_ten([], 3) == 0.0
    # If not all are found, all ten ranks are counted.
    assert measures.precision_at_ten([0], 2) == pytest.approx(0.1)


def test_recall_at_ten_is_of_all_relevant() -> None:
    assert measures.recall_at_ten([0, 9, 10], 4) == 0.5


def test_the_precision_curve_is_interpolated() -> None:
    # Precision 1 at recall 1/2, 2/4 at recall 1.
    curve = measures.precision_curve([0, 3], 2)
    assert curve[0] == curve[50] == 1.0
    assert curve[51] == curve[100] == 0.5
    # A later, better precision counts for earlier recalls: 1/3, 2/4, 3/5.
    assert measures.precision_curve([2, 3, 4], 3)[0] == pytest.approx(0.6)
    # An image that is never found adds no precision.
    assert measures.precision_curve([0], 2)[100] == 0.0


def test_a_ranking_is_asked_for_as_deep_as_it_is_looked_at() -> None:
    query = Query("q", frozenset({"a"}), frozenset({"q"}))
    assert measures.depth(query, ["4 x recall@4"], 100) == 5
    assert measures.depth(query, ["mAP", "mP@10"], 100) == 100
    assert measures.depth(query, ["recall@10"], 3) == 3
