import re
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spocdb.errors import ConfigError, DescriptorError, DimensionMismatch, NotEnoughSamples
from spocdb.features.projection import Moments, advice, fit, merge, project, raw_projection
from spocdb.records import Float32Array
from spocdb.soundness import fault


def samples(n: int = 200, channels: int = 24, seed: int = 0) -> Float32Array:
    """Return correlated positive rows of length one, like raw descriptors."""
    rng = np.random.default_rng(seed)
    rows = rng.gamma(1.0, 1.0, (n, channels)) @ rng.gamma(0.3, 1.0, (channels, channels))
    unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_moments_of_four_points_by_hand() -> None:
    moments = Moments.of(np.array([[1, 0], [3, 0], [2, 2], [2, -2]], np.float32))
    assert (moments.count, moments.mean.tolist()) == (4, [2.0, 0.0])
    assert moments.scatter.tolist() == [[2.0, 0.0], [0.0, 8.0]]


def test_a_projection_by_hand() -> None:
    moments = Moments.of(np.array([[1, 0], [3, 0], [2, 2], [2, -2]], np.float32))
    projection = fit(moments, 2)
    assert projection.mean.tolist() == [2.0, 0.0]
    assert projection.components.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    np.testing.assert_allclose(projection.singular_values, [8**0.5, 2**0.5])
    np.testing.assert_allclose(projection.scale, [(3 / 8) ** 0.5, (3 / 2) ** 0.5])
    np.testing.assert_allclose(projection.explained, [0.8, 0.2])
    # (4, 2) is (2, 2) from the mean: 2 sqrt(3/8) and 2 sqrt(3/2), which is 1 to 2.
    embedding = project(np.array([[4, 2]], np.float32), projection)
    np.testing.assert_allclose(embedding, [[1 / 5**0.5, 2 / 5**0.5]], rtol=1e-6)


@given(st.lists(st.integers(0, 200), max_size=6), st.randoms(use_true_random=False))
def test_moments_do_not_depend_on_chunks_or_order(cuts: list[int], random: object) -> None:
    rows = samples()
    chunks = [Moments.of(chunk) for chunk in np.split(rows, sorted(cuts))]
    random.shuffle(chunks)  # type: ignore[attr-defined]
    merged, whole = reduce(merge, chunks), Moments.of(rows)
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-10, atol=1e-12)


def test_moments_are_exact_far_from_the_origin() -> None:
    rows = (samples().astype(np.float64) + 1e6).astype(np.float32)
    merged = reduce(merge, (Moments.of(chunk) for chunk in np.split(rows, 10)))
    expected = np.cov(rows.astype(np.float64).T) * 199
    np.testing.assert_allclose(merged.scatter, expected, rtol=1e-9, atol=1e-9)


def test_moments_of_different_dimensions_do_not_merge() -> None:
    with pytest.raises(DimensionMismatch, match="expected 24 dimensions, got 7"):
        merge(Moments.of(samples()), Moments.of(samples(channels=7)))


@pytest.mark.parametrize("whiten", [True, False])
def test_it_is_the_pca_of_scikit_learn(whiten: bool) -> None:
    from sklearn.decomposition import PCA  # two seconds, which processes without this test save

    rows, others = samples(), samples(seed=1)
    projection = fit(Moments.of(rows), 8, whiten=whiten)
    reference = PCA(8, whiten=whiten, svd_solver="full").fit(rows.astype(np.float64))
    signs = np.sign((reference.components_ * projection.components).sum(axis=1))
    expected = reference.transform(others.astype(np.float64)) * signs
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(project(others, projection), expected, atol=1e-5)
    np.testing.assert_allclose(projection.singular_values, reference.singular_values_, rtol=1e-6)
    np.testing.assert_allclose(projection.explained, reference.explained_variance_ratio_, rtol=1e-6)


@pytest.mark.parametrize("centre", [True, False])
def test_it_is_the_papers_division_by_the_singular_values(centre: bool) -> None:
    rows, others = samples(), samples(seed=1)
    projection = fit(Moments.of(rows), 8, centre=centre)
    mean = rows.mean(axis=0, dtype=np.float64) if centre else 0
    _, s, v = np.linalg.svd(rows - mean, full_matrices=False)
    expected = (others - mean) @ v[:8].T / s[:8]
    expected *= np.sign((v[:8] * projection.components).sum(axis=1))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(project(others, projection), expected, atol=1e-5)
    assert projection.mean.any() == centre


def test_projecting_is_within_a_millionth_of_float64() -> None:
    rows, others = samples(3000, 512), samples(50, 512, seed=1)
    projection = fit(Moments.of(rows), 256)
    values = (others.astype(np.float64) - projection.mean) @ projection.components.T.astype(float)
    values *= projection.scale
    expected = values / np.linalg.norm(values, axis=1, keepdims=True)
    embeddings = project(others, projection)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-6)


def test_regularisation_damps_the_weak_components() -> None:
    moments = Moments.of(samples())
    variances = fit(moments, 24).singular_values ** 2 / 199
    damped = fit(moments, 8, regularisation=0.5)
    expected = 1 / np.sqrt(variances[:8] + 0.5 * variances.mean())
    np.testing.assert_allclose(damped.scale, expected, rtol=1e-9)


def test_components_are_unit_rows_with_fixed_signs() -> None:
    components = fit(Moments.of(samples()), 24).components.astype(np.float64)
    np.testing.assert_allclose(components @ components.T, np.eye(24), atol=1e-6)
    assert (components[np.arange(24), np.abs(components).argmax(axis=1)] > 0).all()


def test_the_same_images_give_the_same_projection() -> None:
    first, second = (fit(Moments.of(samples()), 8) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != fit(Moments.of(samples(seed=1)), 8).fingerprint


def test_the_projection_says_how_it_was_made() -> None:
    projection = fit(Moments.of(samples()), 8, whiten=False, regularisation=0.25)
    assert (projection.dim, projection.n_samples) == (8, 200)
    assert projection.settings == {
        "dim": 8,
        "whiten": False,
        "centre": True,
        "regularisation": 0.25,
    }
    assert projection.scale.tolist() == [1.0] * 8


def test_too_few_images_say_how_many_are_needed() -> None:
    assert fit(Moments.of(samples(9)), 8).dim == 8
    message = r"^8 images are too few for 8 dimensions, 9 are the least: .*`dim=.*`db\.ingest_"
    with pytest.raises(NotEnoughSamples, match=message):
        fit(Moments.of(samples(8)), 8)


def test_images_that_repeat_do_not_count() -> None:
    repeated = np.repeat(samples(6), 10, axis=0)
    message = r"^the 60 images differ in only 5 dimensions, not in 8: ingest more"
    with pytest.raises(NotEnoughSamples, match=message):
        fit(Moments.of(repeated), 8)
    with pytest.raises(NotEnoughSamples, match="only 0 dimensions"):
        fit(Moments.of(np.repeat(samples(1), 60, axis=0)), 8)


@pytest.mark.parametrize("dim", [0, 25])
def test_a_dimension_out_of_range_is_refused(dim: int) -> None:
    with pytest.raises(ConfigError, match=f"^dim must be 1 to 24.*, not {dim}"):
        fit(Moments.of(samples()), dim)


@pytest.mark.parametrize("regularisation", [-0.1, float("nan"), float("inf")])
def test_a_regularisation_out_of_range_is_refused(regularisation: float) -> None:
    with pytest.raises(ConfigError, match="zero or more"):
        fit(Moments.of(samples()), 8, regularisation=regularisation)


def test_the_raw_projection_only_normalises() -> None:
    projection = raw_projection(2)
    assert projection.dim == 2
    rows = np.array([[3, 4], [0, 0]], np.float32)
    expected = np.array([[0.6, 0.8], [0, 0]], np.float32)
    np.testing.assert_array_equal(project(rows, projection), expected)


def test_a_row_on_the_mean_stays_finite() -> None:
    projection = fit(Moments.of(samples()), 8)
    assert project(projection.mean[None], projection).tolist() == [[0.0] * 8]


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(DimensionMismatch, match="expected 24 dimensions, got 7"):
        project(samples(channels=7), fit(Moments.of(samples()), 8))


def test_no_vectors_give_no_embeddings() -> None:
    assert project(samples()[:0], fit(Moments.of(samples()), 8)).shape == (0, 8)


def lines(n: int, dim: int, **options: Any) -> list[str]:
    moments = Moments.of(samples(n))
    return advice(moments, fit(moments, dim, **options))


def test_dimensions_that_keep_too_little_are_said_with_how_many_keep_enough() -> None:
    (line,) = lines(200, 3)
    found = re.fullmatch(
        r"warning: 3 dimensions keep (\d+)% of the variance, which costs recall: "
        r"(\d+) keep 80% \(`dim=\2`\)",
        line,
    )
    assert found
    explained = fit(Moments.of(samples(200)), 24).explained.cumsum()
    assert int(found[1]) == round(100 * explained[2])
    enough = int(found[2])
    assert explained[enough - 2] < 0.8 <= explained[enough - 1]
    assert lines(200, enough) == []
    assert len(lines(200, enough - 1)) == 1


def test_dimensions_that_the_images_are_too_few_for_are_not_advised() -> None:
    enough = int(re.findall(r"`dim=(\d+)`", lines(200, 3)[0])[0])
    few = 3 * enough - 1
    moments = Moments.of(samples(200))
    moments = Moments(few, moments.mean, moments.scatter)
    (line,) = advice(moments, fit(moments, 3))
    assert line.endswith(
        f"which costs recall: {enough} would keep 80%, but {few} images are few for whitening "
        f"those: fit on {3 * enough} or more"
    )
    # Without whitening, more dimensions are no problem.
    (line,) = advice(moments, fit(moments, 3, whiten=False))
    assert line.endswith(f"{enough} keep 80% (`dim={enough}`)")


def test_images_that_are_too_few_for_whitening_are_said() -> None:
    assert lines(59, 20) == [
        "warning: 59 images are few for whitening 20 dimensions, 60 or more are better: "
        "fit on more, or with `whiten=False`"
    ]
    assert lines(60, 20) == []
    assert lines(59, 20, whiten=False) == lines(59, 20, regularisation=0.1) == []


def test_what_keeps_enough_is_about_the_origin_where_nothing_is_centred() -> None:
    # Most of this vector is the mean.
    assert lines(200, 3, centre=False) == []


@pytest.mark.parametrize("regularisation", [1e6, 1.0])
def test_the_strongest_regularisation_still_embeds(regularisation: float) -> None:
    projection = fit(Moments.of(samples()), 8, regularisation=regularisation)
    assert fault(projection, 24) is None
    lengths = np.linalg.norm(project(samples(), projection), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    projection = fit(Moments.of(samples()), 8)
    broken = replace(projection, scale=projection.scale * 1e38)
    with np.errstate(over="ignore"), pytest.raises(DescriptorError, match="are not finite"):
        project(samples(), broken)


def test_images_that_all_come_out_as_zeros_are_refused() -> None:
    projection = fit(Moments.of(samples()), 8)
    on_the_mean = projection.mean[None]
    assert not project(on_the_mean, projection).any(), "one black picture may stay"
    assert project(np.concatenate([on_the_mean, samples(1)]), projection).any()
    with pytest.raises(DescriptorError, match="the embeddings of 2 images are all zero: check"):
        project(np.repeat(on_the_mean, 2, axis=0), projection)
    with pytest.raises(DescriptorError, match="the embeddings of 3 images are all zero: check"):
        project(np.zeros((3, 24), np.float32), raw_projection(24))
