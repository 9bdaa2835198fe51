"""The benchmark of the database runs on a small gallery, and its record can be plotted."""

from pathlib import Path

import pytest

from benchmarks import database
from benchmarks.database import gallery, plots, tables
from tests.fixtures.opened import Database


@pytest.mark.slow
def test_a_small_gallery_goes_through_every_step(db: Database, tmp_path: Path) -> None:
    target = gallery.open(db, db.connection, "growing", 1000)
    measured = (figure for step in database.STEPS.values() for figure in step(target))
    figures = {figure.name: figure for figure in measured}
    for kind in ("vector, ef_search 100", "halfvec, ef_search 100", "bit, ef_search 1000"):
        assert figures[f"{kind}, recall@10"].value >= 0.95
    for part in (1, 10, 50):
        assert figures[f"filter that {part} % match, recall@10"].value == 1
    assert figures["growth to 1,000, recall@10"].value >= 0.99
    assert figures["similar in Python, p50"].ratio is not None
    assert {"2 clients, queries", "re-projection, rate", "load, 512 raw + 256"} <= set(figures)
    # Objects created for the measurement are dropped.
    assert [c.name for c in db.collections()] == ["growing"]

    plots.draw([*figures.values()], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    # Every table has its rows, and no row lacks a figure that was measured.
    rows = tables.tables([*figures.values()]).splitlines()
    assert len([row for row in rows if row.startswith("|---")]) == 7
    begins = [row.split(" | ")[0].strip("| ") for row in rows]
    assert {"halfvec", "bit", "similar()", "10 %", "2", "re-projection, rate"} <= {*begins}


def test_ten_million_are_computed_by_a_law() -> None:
    points = {100_000: 1.0, 1_000_000: 12.0}
    assert plots.ahead(points, plots.constant) == 12
    assert plots.ahead(points, plots.by_steps) == pytest.approx(14)
    assert plots.ahead(points, plots.by_walks) == pytest.approx(140)
