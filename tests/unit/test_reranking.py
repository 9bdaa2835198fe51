import numpy as np
import pytest

from spocdb.features.reranking import rerank
from spocdb.records import Float32Array


def around(direction: int, n: int, noise: float, seed: int) -> Float32Array:
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, 16))
    rows[:, direction] = 1
    rows += noise * rng.normal(size=rows.shape)
    unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_what_is_a_neighbour_of_neighbours_comes_before_a_lone_one() -> None:
    """A stray image is nearer to the query than the group's last one, but far from the others."""
    group = around(0, 25, 0.05, seed=0)
    query = group[0]
    far = around(1, 25, 0.05, seed=1)
    # Between the groups, slightly nearer to the query than the last image of its own group.
    least = float(min(group[1:] @ query))
    stray = (least + 0.0005) * query + np.sqrt(1 - (least + 0.0005) ** 2) * _orthogonal(query)
    listed = np.vstack([group[1:], stray, far]).astype(np.float32)
    by_distance = np.argsort(-(listed @ query), kind="stable")
    assert list(by_distance).index(24) == 23  # the stray image ranks before the group's last
    order = list(rerank(query, listed))
    assert order.index(24) == 24
    assert set(order[:24]) == set(range(24))


def _orthogonal(query: Float32Array) -> Float32Array:
    other = np.zeros_like(query)
    other[5] = 1
    other = other - (other @ query) * query
    result: Float32Array = other / np.linalg.norm(other)
    return result


def test_the_order_is_the_authors() -> None:
    """Compare with the authors' program, rewritten for one query: k1 20, k2 6, lambda 0.3."""
    rng = np.random.default_rng(5)
    rows = np.vstack([around(d, 20, 0.35, seed=d) for d in range(5)])
    rows = rows[rng.permutation(len(rows))]
    distance = 1 - rows.astype(np.float64) @ rows.T.astype(np.float64)
    original = np.transpose(distance / np.max(distance, axis=0))
    initial = np.argsort(original, kind="stable")
    weights = np.zeros_like(original)
    for i in range(len(rows)):

        def mutual(j: int, k: int) -> list[int]:
            return [int(c) for c in initial[j, : k + 1] if j in initial[c, : k + 1]]

        expansion = list(mutual(i, 20))
        for candidate in mutual(i, 20):
            theirs = mutual(candidate, 10)
            if len(set(theirs) & set(mutual(i, 20))) > 2 / 3 * len(theirs):
                expansion += theirs
        expansion = sorted(set(expansion))
        weight = np.exp(-original[i, expansion])
        weights[i, expansion] = weight / weight.sum()
    averaged = np.array([weights[initial[i, :6]].mean(axis=0) for i in range(len(rows))])
    smaller = np.minimum(averaged[0], averaged).sum(axis=1)
    final = 0.7 * (1 - smaller / (2 - smaller)) + 0.3 * original[0]
    expected = np.argsort(final[1:], kind="stable")
    np.testing.assert_array_equal(rerank(rows[0], rows[1:]), expected)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_short_list_may_be_very_short(n: int) -> None:
    rows = around(0, n + 1, 0.3, seed=2)
    assert sorted(rerank(rows[0], rows[1:])) == list(range(n))


def test_copies_of_the_query_stay_in_front() -> None:
    rows = around(0, 30, 0.5, seed=3)
    listed = np.vstack([rows[1:], rows[:1], rows[:1]])
    assert set(rerank(rows[0], listed)[:2]) == {29, 30}
