"""One rule says of every kind of projection whether it was fitted on few."""

from typing import Any

import pytest

from spocdb.soundness import scarcity

WHITENED = {"whiten": True, "regularisation": 0.0}


@pytest.mark.parametrize(
    ("kind", "n_samples", "settings", "fitted_on", "expected"),
    [
        ("pca", 29, WHITENED, {}, "29 images are few for whitening 10 dimensions, 30 or more"),
        ("pca", 30, WHITENED, {}, None),
        ("pca", 29, WHITENED | {"regularisation": 0.1}, {}, None),
        ("pca", 29, WHITENED | {"whiten": False}, {}, None),
        ("raw", 0, WHITENED | {"whiten": False}, {}, None),
        (
            *("discriminative", 1000, {"regularisation": 0.0}, {"n_pairs": 1}),
            "1 matching pair is few for whitening 10 dimensions",
        ),
        ("discriminative", 10, {"regularisation": 0.0}, {"n_pairs": 30}, None),
        ("discriminative", 10, {"regularisation": 0.1}, {"n_pairs": 3}, None),
        ("head", 1000, {}, {"n_pairs": 29}, "29 matching pairs are few for a head of 10 dim"),
        ("head", 1000, {}, {"n_pairs": 30}, None),
        # A role that may not see what it was fitted on.
        ("head", 1000, {}, {}, None),
    ],
)
def test_few_images_or_pairs_for_the_dimensions(
    kind: str,
    n_samples: int,
    settings: dict[str, Any],
    fitted_on: dict[str, Any],
    expected: str | None,
) -> None:
    found = scarcity(kind, 10, n_samples, settings, fitted_on)
    if expected is None:
        assert found is None
    else:
        assert found is not None and found.startswith(expected)
