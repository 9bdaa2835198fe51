"""Fisher vectors and triangulation on hand-sized cases."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features import codebooks
from spocdb.features.codebooks import Codebook, encode, fit, load, save
from spocdb.records import Float32Array

PLANE = {"mean": np.zeros(2, np.float32), "components": np.eye(2, dtype=np.float32)}
# Three features, of length one already.
FEATURES = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)


def maps(n: int = 30, positions: int = 40, channels: int = 80) -> list[Float32Array]:
    """Return made-up feature maps: each has four of twelve kinds of feature, with noise."""
    rng = np.random.default_rng(0)
    kinds = rng.gamma(1.0, 1.0, (12, channels))
    made = []
    for _ in range(n):
        own = rng.permutation(12)[:4]
        noise = 0.1 * rng.random((positions, channels))
        made.append((kinds[own[rng.integers(4, size=positions)]] + noise).astype(np.float32))
    return made


def test_a_fisher_vector_of_one_gaussian_is_mean_and_variance() -> None:
    arrays = {
        **PLANE,
        "weights": np.ones(1, np.float32),
        "means": np.array([[0.5, 0.5]], np.float32),
        "covariances": np.array([[0.25, 0.16]], np.float32),
    }
    codebook = Codebook("fisher", arrays)
    deviations = (FEATURES - 0.5) / [0.5, 0.4]
    # The weights' gradient, zero with a single one; the means'; the variances', with the sign
    # that scikit-image gives them.
    gradients = np.concatenate(
        [[0.0], deviations.mean(axis=0), -(deviations**2 - 1).mean(axis=0) / np.sqrt(2)]
    )
    expected = np.sign(gradients) * np.sqrt(np.abs(gradients))
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(encode(FEATURES, codebook), expected, atol=1e-6)
    assert codebook.dim == 5


def test_triangulation_sums_whitened_directions() -> None:
    arrays = {
        **PLANE,
        "centroids": np.array([[1, 1]], np.float32),
        "origin": np.array([-0.25, -0.5], np.float32),
        "whitening": np.array([[2, 0], [0, 1]], np.float32),
    }
    codebook = Codebook("triangulation", arrays)
    # From (1, 1) to the features: (0, -1), (-1, 0) and (-0.4, -0.2) made one long.
    third = np.array([-0.4, -0.2]) / np.hypot(0.4, 0.2)
    directions = np.array([[0, -1], [-1, 0], third])
    summed = (directions - [-0.25, -0.5]).sum(axis=0) * [2, 1]
    expected = np.sign(summed) * np.sqrt(np.abs(summed))
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(encode(FEATURES, codebook), expected, atol=1e-6)
    assert codebook.dim == 2


def test_what_is_too_long_is_reduced() -> None:
    arrays = {
        **PLANE,
        "centroids": np.array([[1, 1]], np.float32),
        "origin": np.zeros(2, np.float32),
        "whitening": np.eye(2, dtype=np.float32),
    }
    long = encode(FEATURES, Codebook("triangulation", arrays))
    mean, direction = np.array([0.1, 0.2], np.float32), np.array([[0.6, -0.8]], np.float32)
    reduced = Codebook(
        "triangulation", arrays | {"reduced_mean": mean, "reduced_components": direction}
    )
    assert reduced.dim == 1
    np.testing.assert_allclose(
        encode(FEATURES, reduced), np.sign((long - mean) @ direction.T), atol=1e-6
    )


@pytest.mark.parametrize(
    ("kind", "k", "dim"), [("fisher", 4, 4 * 65), ("triangulation", 2, 2 * 80)]
)
def test_a_learned_codebook_tells_images_apart(
    kind: codebooks.Kind, k: int, dim: int, tmp_path: Path
) -> None:
    learned = fit(kind, k, maps)
    assert learned.dim == dim
    image = maps()[0]
    encoded = encode(image, learned)
    assert encoded.shape == (dim,)
    assert np.linalg.norm(encoded) == pytest.approx(1, abs=1e-5)
    # Half an image is more like its other half than like another image's, on the whole.
    halves = np.array([[encode(m[i::2], learned) for m in maps()] for i in (0, 1)])
    cosines = halves[0] @ halves[1].T
    assert np.diag(cosines).mean() > cosines.mean() + 0.2

    save(learned, tmp_path / "learned.safetensors")
    again = load(tmp_path / "learned.safetensors")
    np.testing.assert_array_equal(encode(image, again), encoded)
    np.testing.assert_array_equal(encode(image, fit(kind, k, maps)), encoded)


def test_a_long_fisher_vector_fits_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebooks, "LONGEST", 100)
    monkeypatch.setattr(codebooks, "REDUCED", 8)
    learned = fit("fisher", 2, maps)
    assert learned.dim == 8
    assert encode(maps()[0], learned).shape == (8,)


def test_triangulation_is_white_where_it_was_learned() -> None:
    learned = fit("triangulation", 2, maps)
    arrays = learned.arrays
    local = codebooks._local(np.concatenate(maps()), "triangulation", arrays)
    anchored = codebooks._anchored(local, arrays["centroids"]) - arrays["origin"]
    white = anchored @ arrays["whitening"].T
    variances = white.astype(np.float64).var(axis=0)
    assert ((variances < 1e-3) | (np.abs(variances - 1) < 0.1)).all()
    assert (np.abs(variances - 1) < 0.1).sum() > 10


def test_too_few_features_are_told() -> None:
    with pytest.raises(NotEnoughSamples, match="40 local features are too few for 16 centres"):
        fit("fisher", 16, lambda: maps(1))

    def none() -> Iterator[Float32Array]:
        yield from ()

    with pytest.raises(NotEnoughSamples, match="no image to learn"):
        fit("fisher", 16, none)
    with pytest.raises(ConfigError, match="unknown kind of codebook 'vlad'"):
        fit("vlad", 16, maps)  # type: ignore[arg-type]


def test_a_file_that_is_no_codebook_is_told(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    file.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="is no codebook: make one with `spocdb codebook fit`"):
        load(file)
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.safetensors")
