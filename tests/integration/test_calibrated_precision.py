"""What a calibration predicts holds for other photographs, whose copies are known."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.opened import Database

pytestmark = pytest.mark.slow


def test_the_predicted_precision_is_that_of_other_photographs(
    db: Database, recipe: dict[str, Any], shared: Path, tmp_path: Path
) -> None:
    photos = sorted((shared / "data" / "photos1000").rglob("*.jpg"))[:400]
    for number, photo in enumerate(photos):
        half = tmp_path / ("one", "other")[number % 2]
        half.mkdir(exist_ok=True)
        (half / photo.name).symlink_to(photo)
    for name in ("one", "other"):
        db.ingest(tmp_path / name, collection=name, **recipe)
    predicted = db.duplicates.calibrate("one", images=150)
    measured = db.duplicates.calibrate("other", images=150, seed=1)
    assert predicted.picture is not None and predicted.n_taken == measured.n_taken == 0
    expected, found = (
        next(point for point in curve if point.distance >= predicted.picture)
        for curve in (predicted.curve, measured.curve)
    )
    assert found.precision == pytest.approx(expected.precision, abs=0.02)
    assert found.recall == pytest.approx(expected.recall, abs=0.05)
