import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spocdb.features.pooling import (
    GEM_EPS,
    centering_prior,
    crow_attention,
    crow_channels,
    gem_pool,
    l2_normalise,
    max_pool,
    norm_attention,
    pool,
    regional_max_pool,
    regions,
    sum_pool,
)
from spocdb.features.recipes import make_recipe
from spocdb.records import Float64Array

MAP = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 8.0]]]])
# Two channels of 2 x 2; the second one is all in one corner.
WEIGHTS = torch.tensor([[1.0, 0.5], [0.5, 0.25]])


def test_sum_of_a_2_x_2_map() -> None:
    assert sum_pool(MAP).tolist() == [[10.0, 8.0]]
    assert sum_pool(MAP, WEIGHTS).tolist() == [[1 + 1 + 1.5 + 1, 2.0]]


def test_max_of_a_2_x_2_map() -> None:
    assert max_pool(MAP).tolist() == [[4.0, 8.0]]
    assert max_pool(-MAP).tolist() == [[-1.0, 0.0]]


def test_gem_of_a_2_x_2_map() -> None:
    expected = [[(30 / 4) ** 0.5, (64 / 4) ** 0.5]]
    torch.testing.assert_close(gem_pool(MAP, 2.0), torch.tensor(expected))
    weighted = [[((1 + 2 + 4.5 + 4) / 2.25) ** 0.5, (16 / 2.25) ** 0.5]]
    torch.testing.assert_close(gem_pool(MAP, 2.0, WEIGHTS), torch.tensor(weighted))


def test_gem_of_nothing_is_finite() -> None:
    torch.testing.assert_close(gem_pool(-MAP, 3.0), torch.full((1, 2), GEM_EPS))


def test_the_prior_of_a_2_x_2_map() -> None:
    # Each position is half a pixel from the centre in x and y, and the border is one pixel away:
    # exp(-(1/4 + 1/4) / (2 / 9)).
    torch.testing.assert_close(centering_prior(2, 2, 1 / 3), torch.full((2, 2), np.exp(-2.25)))


def test_the_prior_of_a_3_x_5_map() -> None:
    # The centre is (1, 2), the nearest border 1.5 away, so sigma is 3/4 for a ratio of one half.
    prior = centering_prior(3, 5, 1 / 2)
    assert prior.shape == (3, 5)
    assert prior[1, 2] == 1.0
    assert prior[0, 0].item() == pytest.approx(np.exp(-(1 + 4) / (2 * 0.75**2)))
    assert torch.equal(prior, prior.flip(0)) and torch.equal(prior, prior.flip(1))


def test_l2_gives_length_one_and_leaves_zeros() -> None:
    rows = l2_normalise(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(rows, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pooling_is_in_float32_whatever_the_map(dtype: torch.dtype) -> None:
    # 70,000 overflows float16, and bfloat16 has no 4097.
    feature_map = torch.full((1, 1, 64, 64), 17.0).to(dtype)
    feature_map[0, 0, 0, 0] = 18.0
    pooled = sum_pool(feature_map)
    assert pooled.dtype == torch.float32
    assert pooled.item() == 17.0 * 4096 + 1
    assert max_pool(feature_map).dtype == gem_pool(feature_map, 3.0).dtype == torch.float32


def numpy_pool(values: Float64Array, pooling: str, sigma: float | None, p: float) -> Float64Array:
    """Compute the same in float64, by separate code."""
    height, width = values.shape[2:]
    weights = np.ones((height, width))
    if sigma is not None:
        for y in range(height):
            for x in range(width):
                square = (y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2
                weights[y, x] = np.exp(-square / (2 * (sigma * min(height, width) / 2) ** 2))
    if pooling == "sum":
        pooled = np.einsum("nchw,hw->nc", values, weights)
    elif pooling == "max":
        pooled = values.max(axis=(2, 3))
    else:
        powers = np.maximum(values, GEM_EPS) ** p
        pooled = (np.einsum("nchw,hw->nc", powers, weights) / weights.sum()) ** (1 / p)
    return np.asarray(pooled)


@given(
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 9)] * 2),
    seed=st.integers(0, 2**32 - 1),
    pooling=st.sampled_from(["sum", "max", "gem"]),
    sigma=st.none() | st.floats(0.2, 3),
    p=st.floats(0.5, 8),
)
def test_pooling_equals_a_float64_computation(
    shape: tuple[int, ...], seed: int, pooling: str, sigma: float | None, p: float
) -> None:
    values = np.random.default_rng(seed).gamma(1.0, 2.0, shape)
    recipe = make_recipe(
        "vgg19",
        "ab12",
        pooling=pooling,  # type: ignore[arg-type]
        centering=None if pooling == "max" else sigma is not None,
        sigma=None if pooling == "max" else sigma,
        gem_p=p if pooling == "gem" else None,
    )
    pooled = pool(torch.from_numpy(values.astype(np.float32)), recipe).numpy()
    expected = numpy_pool(values, pooling, sigma, p)
    np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-30)


def test_regions_cover_a_square_map_as_the_paper_draws_it() -> None:
    # Regions: one of the whole side, four of two thirds, nine of a half.
    found = regions(6, 6)
    assert found[0] == (0, 0, 6)
    assert [r for r in found if r[2] == 4] == [(0, 0, 4), (0, 2, 4), (2, 0, 4), (2, 2, 4)]
    assert [r for r in found if r[2] == 3] == [(y, x, 3) for y in (0, 1, 3) for x in (0, 1, 3)]
    assert len(found) == 1 + 4 + 9


def test_regions_of_a_long_map_overlap_along_it() -> None:
    found = regions(6, 10)
    first = [(y, x) for y, x, side in found if side == 6]
    assert first == [(0, 0), (0, 4)]
    # Two regions of six along twelve would not overlap; three overlap by half.
    assert [x for _, x, side in regions(6, 12) if side == 6] == [0, 3, 6]
    assert [(y, x) for y, x, side in regions(10, 6) if side == 6] == [(0, 0), (4, 0)]


@given(st.integers(1, 40), st.integers(1, 40))
def test_regions_stay_inside_and_reach_every_border(height: int, width: int) -> None:
    for level_side in {side for _, _, side in regions(height, width)}:
        level = [(y, x) for y, x, side in regions(height, width) if side == level_side]
        assert min(y for y, _ in level) == min(x for _, x in level) == 0
        assert max(y for y, _ in level) + level_side <= height
        assert max(x for _, x in level) + level_side <= width


def test_regional_maxima_are_normalised_before_they_are_summed() -> None:
    # A map of one position: the same region at each of the three levels, 1 + 4 + 9 times.
    one = torch.tensor([[[[3.0]], [[4.0]]]])
    torch.testing.assert_close(regional_max_pool(one), torch.tensor([[0.6, 0.8]]) * 14)


def test_norm_attention_is_the_length_of_a_feature() -> None:
    expected = [[[[1.0, 2.0], [3.0, (16 + 64) ** 0.5]]]]
    torch.testing.assert_close(norm_attention(MAP), torch.tensor(expected))


def test_crow_weighs_positions_by_the_root_of_their_share() -> None:
    sums = torch.tensor([[1.0, 2.0], [3.0, 12.0]])
    expected = (sums / (1 + 4 + 9 + 144) ** 0.5).sqrt()[None, None]
    torch.testing.assert_close(crow_attention(MAP), expected)


def test_crow_weighs_rare_channels_more_and_silent_ones_not_at_all() -> None:
    silent = torch.cat([MAP, torch.zeros(1, 1, 2, 2)], dim=1)
    expected = [[np.log(1.25 / 1), np.log(1.25 / 0.25), 0.0]]
    torch.testing.assert_close(crow_channels(silent), torch.tensor(expected, dtype=torch.float32))


def test_attention_is_what_the_recipe_says() -> None:
    plain = {"centering": False, "attention": "norm"}
    by_norm = pool(MAP, make_recipe("vgg19", "ab12", **plain))  # type: ignore[arg-type]
    long = (16 + 64) ** 0.5
    torch.testing.assert_close(by_norm, torch.tensor([[1 + 4 + 9 + 4 * long, 8 * long]]))
    recipe = make_recipe("vgg19", "ab12", centering=False, attention="crow")
    expected = sum_pool(MAP, crow_attention(MAP)) * crow_channels(MAP)
    torch.testing.assert_close(pool(MAP, recipe), expected)
    centred = make_recipe("vgg19", "ab12", attention="norm")
    weights = norm_attention(MAP) * centering_prior(2, 2, 1 / 3)
    torch.testing.assert_close(pool(MAP, centred), sum_pool(MAP, weights))
