"""Thresholds from distances: precision, recall, and the rule of the same picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spocdb.thresholds import Found, Rule, agreeing_bits, curve, precision, threshold

distances = st.lists(st.floats(0, 2), min_size=1, max_size=50).map(np.array)


def found(pairs: list[tuple[float, int, int]]) -> Found:
    """Return pairs of distance, differing bits and variant."""
    rows = np.array(pairs, np.float64).reshape(-1, 3)
    return Found(rows[:, 0], rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64))


def test_the_largest_distance_with_the_precision() -> None:
    own, others = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.25, 0.35, 0.36])
    assert threshold(own, others, 0.99, 1, margin=0) == 0.2
    assert threshold(own, others, 0.75, 1, margin=0) == 0.3
    assert threshold(own, others, 0.5, 1, margin=0) == 0.4
    assert threshold(own, others, 0.99, 1, margin=1) is None
    assert threshold(own, others, 0.6, 1, margin=1) == 0.3


def test_fewer_copies_make_it_smaller() -> None:
    own, others = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.35])
    assert threshold(own, others, 0.8, 1, margin=0) == 0.4
    assert threshold(own, others, 0.8, 0.1, margin=0) == 0.3


@given(distances, distances, st.floats(0.5, 0.99), st.floats(0.01, 2))
def test_a_threshold_has_its_precision(
    own: np.ndarray[tuple[int], np.dtype[np.float64]],
    others: np.ndarray[tuple[int], np.dtype[np.float64]],
    wanted: float,
    copies: float,
) -> None:
    at = threshold(own, others, wanted, copies, margin=0)
    if at is not None:
        n_right, n_wrong = int((own <= at).sum()), int((others <= at).sum())
        assert precision(n_right, n_wrong, copies) >= wanted - 1e-9


def test_signatures_count_up_to_the_scene_only() -> None:
    pairs = found([(0.1, 60, 0), (0.3, 2, 0), (0.3, 12, 0), (0.6, 2, 0)])
    assert pairs.within(Rule(0.2, 0.5, 10)).tolist() == [True, True, False, False]
    assert pairs.within(Rule(0.2, 0.5, 12)).tolist() == [True, True, True, False]
    assert pairs.within(Rule(0.2, 0.5, None)).tolist() == [True, False, False, False]


@pytest.mark.parametrize(("wrong", "bits"), [(11, 10), (10, 9), (4, 3), (0, None)])
def test_fewer_bits_agree_where_others_do(wrong: int, bits: int | None) -> None:
    own, others = found([(0.1, 0, 0)] * 10), found([(0.3, wrong, 0)] * 5)
    assert agreeing_bits(own, others, 0.2, 0.5, 0.9, 1, 10) == bits


def test_the_curve_of_pictures_and_of_all_copies() -> None:
    own, others = found([(0.1, 0, 0), (0.3, 0, 0), (0.5, 0, 1)]), found([(0.2, 0, 0), (0.1, 0, 1)])
    points = curve(own, others, [0], 0.5, 1)
    assert len(points) == 100 and points[-1].distance == 0.5
    at = {round(point.distance, 3): point for point in points}
    assert (at[0.15].precision, at[0.15].recall, at[0.15].scene_recall) == (1, 0.5, 1 / 3)
    assert (at[0.25].precision, at[0.25].recall) == (0.5, 0.5)
    assert (at[0.5].precision, at[0.5].recall, at[0.5].scene_recall) == (2 / 3, 1, 1)
