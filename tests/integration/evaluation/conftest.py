"""Small benchmarks whose results were computed by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.evaluation.line import picture

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Return a function that fills a folder with pictures, given their names and places."""

    def make(folder: str, **places: float) -> Path:
        target = tmp_path / folder
        target.mkdir(parents=True, exist_ok=True)
        for name, t in places.items():
            picture(t).save(target / f"{name.removeprefix('_')}.png")
        return target

    return make


@pytest.fixture
def holidays_folder(draw: Draw) -> Path:
    """Return a folder with two groups of Holidays, whose mAP is 5/24."""
    return draw("holidays", _100000=0, _100001=0.3, _100100=0.1, _100101=0.7)


@pytest.fixture
def options(random_weights: Path) -> dict[str, Any]:
    """Return the options of a fast evaluation."""
    return {
        "extractor": "squeezenet1_1",
        "weights": random_weights,
        "recipe": {"size": 64},
        "precision": "float32",
        "dims": (2,),
    }
