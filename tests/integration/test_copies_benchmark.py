"""The benchmark of near-duplicates runs through the database, and finds what there is to find."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.copies import peers, tables
from benchmarks.copies.__main__ import run
from benchmarks.copies.changes import GROUPED, SAME, SETS
from benchmarks.copies.grouping import judged
from benchmarks.copies.halves import Half, write
from benchmarks.copies.linkage import groups
from benchmarks.copies.stored import Spocdb
from spocdb.api import Database

CHANGES = {name: SAME[name] for name in ("JPEG 50", "resized, x 0.5", "cropped to 80 %")}


@pytest.fixture
def halves(make_photos: Any, tmp_path: Path) -> list[Half]:
    """Return two halves of six photographs, with copies of three."""
    files = sorted(make_photos(12).iterdir())
    return [
        write(tmp_path / "same picture" / str(number), some, 3, CHANGES, 0)
        for number, some in enumerate((files[:6], files[6:]))
    ]


@pytest.mark.slow
def test_pairs_and_groups_are_those_of_the_database(db: Database, halves: list[Half]) -> None:
    stored = Spocdb(db, "mini", is_whitened=False).compare(*halves)
    of = len(halves[0].files)
    assert stored.distances.shape == (of, of) == (15, 15)
    np.testing.assert_allclose(stored.distances.diagonal(), 0, atol=1e-6)
    # Between two distances that there are, so that rounding decides nothing.
    steps = np.unique(stored.distances[np.triu_indices(of, 1)])
    for low, high in ((steps[5], steps[6]), (steps[40], steps[41])):
        most = float(low + high) / 2
        expected = (stored.distances <= most) & ~np.eye(of, dtype=bool)
        np.testing.assert_array_equal(stored.near(most), expected)
    found = stored.groups(0.0)
    assert (found.n_groups, found.n_mixed, found.n_together) == (0, 0, 0)
    # Up to the largest distance everything is one group, and so it is in single linkage.
    everything = judged(groups(stored.distances, 2.0), halves[0])
    assert stored.groups(2.0) == everything
    assert (everything.n_mixed, everything.largest_mixed, everything.n_together) == (1, 6, 9)


@pytest.mark.slow
def test_a_half_is_whitened_by_the_other_one(db: Database, halves: list[Half]) -> None:
    plain = Spocdb(db, "mini", is_whitened=False).compare(*halves)
    whitened = Spocdb(db, "mini", is_whitened=True).compare(*halves)
    (active,) = (p for p in db.pca.list() if p.kind == "pca")
    assert active.fitted_on["collections"] == ["same picture-1"]
    assert not np.allclose(plain.distances, whitened.distances, atol=0.01)


def test_without_imagededup_spocdb_is_measured_alone_and_says_so(
    db: Database,
    make_photos: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "imagededup", None)
    files = sorted(make_photos(8).iterdir())
    arguments = Namespace(seed=0, originals=2, only=None, distances=[0.1])
    figures = [f for some in run(db, tmp_path / "scratch", files, arguments, {}) for f in some]
    assert capsys.readouterr().err == f"{peers.MISSING}\n"
    methods = {(f["set"], f["method"]) for f in figures}
    assert methods == {(name, f"spocdb, mini{w}") for name in SETS for w in ("", ", whitened")}
    assert {f["set"] for f in figures if "stars" in f} == {GROUPED}
    assert "Not run: imagededup's own network" in tables.pairs(figures)
    assert "| spocdb, mini | 0.1 |" in tables.groups(figures)
