"""Fisher vectors and triangulation on hand-sized cases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features import codebooks
from spocdb.features.codebook_files import load, save
from spocdb.features.codebooks import Codebook, encode, fit
from spocdb.features.selection import Wanted, choose
from spocdb.records import Float32Array

PLANE = {"mean": np.zeros(2, np.float32), "components": np.eye(2, dtype=np.float32)}
# Three features of length one.
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
    # Directions from (1, 1) to the features: (0, -1), (-1, 0) and (-0.4, -0.2), normalised.
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
    # On average half an image is nearer to its other half than to halves of other images.
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
    with pytest.raises(ConfigError, match=r"is no codebook: make one with `db.learn_codebook"):
        load(file)
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.safetensors")


def small(kind: codebooks.Kind) -> dict[str, Float32Array]:
    """Return the arrays of a small codebook: two centres in a plane."""
    if kind == "fisher":
        centres = {"weights": np.full(2, 0.5), "means": np.eye(2), "covariances": np.ones((2, 2))}
    else:
        centres = {"centroids": np.eye(2), "origin": np.zeros(4), "whitening": np.eye(4)}
    return PLANE | {name: array.astype(np.float32) for name, array in centres.items()}


@pytest.mark.parametrize("kind", ["fisher", "triangulation"])
def test_numbers_that_no_codebook_has_are_named(kind: codebooks.Kind, tmp_path: Path) -> None:
    file, arrays = tmp_path / "codebook.safetensors", small(kind)
    save(Codebook(kind, arrays), file)
    assert load(file).dim == Codebook(kind, arrays).dim
    for name, array in arrays.items():
        cases: list[tuple[Any, str]] = [
            (np.full_like(array, np.nan), f"its {name} are not all finite numbers"),
            (np.full_like(array, np.inf), f"its {name} are not all finite numbers"),
            (array.astype(np.float16), f"its {name} are float16"),
            (np.concatenate([array, array]), "its "),
        ]
        for wrong, message in cases:
            save(Codebook(kind, arrays | {name: wrong}), file)
            with pytest.raises(ConfigError, match=message) as caught:
                load(file)
            assert "\n" not in str(caught.value)
        save(Codebook(kind, {n: a for n, a in arrays.items() if n != name}), file)
        with pytest.raises(ConfigError, match=r"it has the arrays|is no codebook"):
            load(file)


@pytest.mark.parametrize("name", ["weights", "covariances"])
@pytest.mark.parametrize("value", [0, -1])
def test_what_fisher_vectors_divide_by_is_above_zero(
    name: str, value: float, tmp_path: Path
) -> None:
    file, arrays = tmp_path / "codebook.safetensors", small("fisher")
    save(Codebook("fisher", arrays | {name: np.full_like(arrays[name], value)}), file)
    with pytest.raises(ConfigError, match=f"its {name} are not all above zero: make one with"):
        load(file)


def test_a_codebook_that_gives_too_much_is_refused(tmp_path: Path) -> None:
    file, wide = tmp_path / "codebook.safetensors", np.eye(2001, dtype=np.float32)
    arrays: dict[str, Float32Array] = {"mean": wide[0], "components": wide, "origin": wide[0]}
    arrays |= {"centroids": wide[:1], "whitening": wide}
    save(Codebook("triangulation", arrays), file)
    with pytest.raises(ConfigError, match="it gives 2001 dimensions, and 2000 is the most"):
        load(file)


def test_a_codebook_of_another_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "codebook.safetensors"
    save(Codebook("fisher", small("fisher")), file)
    wanted = Wanted("mini", options={"pooling": "fisher"}, codebook=file)
    message = r"is for feature maps of 2 channels, mini's have 256: make one with `db.learn_"
    with pytest.raises(ConfigError, match=message):
        choose(wanted, None, [], tmp_path / "cache")
