"""The nearest pairs with a collection, against all of them sorted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spocdb.neighbours import nearest


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 200), st.floats(0, 2))
def test_all_pairs_up_to_its_limit(seed: int, n_pages: int, most: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    queries, rows = (rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 60))
    queries, rows = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, rows))
    pages = zip(np.array_split(np.arange(60), n_pages), np.array_split(rows, n_pages), strict=True)
    found = nearest(queries, pages, limit, most)
    everything = 1 - queries @ rows.T
    assert found.limit <= limit and len(found.ids) <= most
    expected = np.nonzero(everything <= found.limit)
    assert {*zip(found.queries.tolist(), found.ids.tolist(), strict=True)} == {
        *zip(expected[0].tolist(), expected[1].tolist(), strict=True)
    }
    np.testing.assert_allclose(found.distances, everything[found.queries, found.ids], atol=1e-6)


@pytest.mark.parametrize("n", [3, 1000])
def test_many_at_the_same_distance_are_left_out_together(n: int) -> None:
    rows = np.ones((n, 1), np.float32)
    found = nearest(np.ones((1, 1), np.float32), [(np.arange(n), rows)], 1.0, 10)
    assert len(found.ids) == (3 if n == 3 else 0)
