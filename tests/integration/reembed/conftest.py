"""Fixtures of a collection that changes its extractor."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.program import Start
from tests.integration.reembed.checks import N_PHOTOS, save_random

Options = dict[str, Any]


@pytest.fixture(scope="session")
def recipe(random_recipe: Options) -> Options:
    """Return the options of the first extractor, whose weights are in a user's file."""
    return random_recipe


@pytest.fixture(scope="session")
def better(tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Return the options of a second extractor: the same network with other weights."""
    from torchvision.models import squeezenet1_1

    file = tmp_path_factory.mktemp("better") / "better.pth"
    weights = save_random(squeezenet1_1, 1, file)
    return {"extractor": "squeezenet1_1", "weights": weights, "size": 64}


@pytest.fixture(scope="session")
def n_photos() -> int:
    return N_PHOTOS


@pytest.fixture(scope="session")
def photos_pca() -> Options:
    return {"dim": 8, "regularisation": 0.1}


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    """Return an ingested folder; a whitened PCA of 8 dimensions is active and indexed."""
    return ingested_photos


@pytest.fixture
def start(start_spocdb: Start, url: str) -> Start:
    """Return a function that starts the program."""
    return partial(start_spocdb, SPOCDB_DATABASE_URL=url)
