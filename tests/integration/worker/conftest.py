"""An attached table of products."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.opened import Database
from tests.integration.worker.products import attach, fill

Make = Callable[..., Path]
Recipe = dict[str, Any]


@pytest.fixture
def shop(db: Database, recipe: Recipe, make_photos: Make) -> Path:
    """Return the folder of an attached table of six products."""
    folder = make_photos(6)
    fill(db, folder)
    attach(db, folder, recipe, condition="published", metadata=["colour"])
    return folder
