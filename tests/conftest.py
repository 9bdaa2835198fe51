"""What the tests share: the folder of data beside the checkout, which is no part of it."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of data; locally a test without it is skipped, in CI it fails."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"no test data: {SHARED} is missing")
        pytest.skip(f"no test data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def squeezenet_weights(shared: Path) -> Path:
    """Return SqueezeNet's ImageNet weights."""
    return shared / "weights" / "squeezenet1_1_imagenet_features.pth"
