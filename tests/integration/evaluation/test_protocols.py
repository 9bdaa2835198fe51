"""`spocdb eval`, each protocol from files to figures, on small sets with hand-computed answers."""

import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.integration.evaluation.line import SIDE, picture

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Draw = Callable[..., Path]


@pytest.fixture
def figures(spocdb: Run, random_weights: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that runs an evaluation and returns its figures."""

    def run(*arguments: object) -> list[dict[str, Any]]:
        options = ("--extractor=squeezenet1_1", f"--weights={random_weights}", "--size=64")
        ran = spocdb("eval", *arguments, *options, "--precision=float32", "--dim=2", "--json")
        assert ran.returncode == 0, ran.stderr
        found: list[dict[str, Any]] = json.loads(ran.stdout)
        return found

    return run


def raw(found: list[dict[str, Any]], measure: str, variant: str = "") -> float:
    """Return the figure of the raw descriptors; the figure by the index must be the same."""
    (result,) = (
        r
        for r in found
        if (r["embedding"], r["measure"], r["variant"]) == ("raw", measure, variant)
    )
    assert result["by_index"] == pytest.approx(result["exact"])
    return float(result["exact"])


def test_holidays(figures: Callable[..., Any], holidays_folder: Path) -> None:
    # 100000 finds 100100, then its partner: (0 + 1/2) / 2. 100100 finds its own last:
    # (0 + 1/3) / 2.
    found = figures("holidays", holidays_folder)
    assert raw(found, "mAP") == pytest.approx((1 / 4 + 1 / 6) / 2)
    assert {(r["embedding"], r["fitted_on"]) for r in found} == {
        ("raw", ""),
        ("pca", "gallery"),
        ("whitened", "gallery"),
    }


def test_ukbench(figures: Callable[..., Any], draw: Draw) -> None:
    places = (0, 0.05, 0.15, 0.9, 1, 0.96, 0.8, 0.02)
    names = {f"ukbench{n:05}": t for n, t in enumerate(places)}
    # The first object's images find 3, 3, 3 and 1 of it among four, the second's 3, 3, 3 and 1.
    found = figures("ukbench", draw("ukbench", **names))
    assert raw(found, "4 x recall@4") == pytest.approx(20 / 8)


def test_copydays(figures: Callable[..., Any], draw: Draw) -> None:
    originals = draw("copydays/original", _200000=0, _200100=0.5, _200200=1)
    # Changed copies find their original first, second, or third.
    draw("copydays/crops/50", _200000=0.1, _200100=0.45)
    draw("copydays/strong", _200001=0.3, _200002=0.95, _200201=0.9)
    found = figures("copydays", originals.parent)
    assert raw(found, "mAP", "crops/50") == 1.0
    # (0 + 1/2) / 2 where one other is before the only right one, (0 + 1/3) / 2 where two are.
    assert raw(found, "mAP", "strong") == pytest.approx((1 / 4 + 1 / 6 + 1) / 3)


def half_of(t: float, file: Path) -> None:
    """Save an image whose left half is the picture at `t`, its right one something else."""
    both = Image.new("RGB", (2 * SIDE, SIDE), "yellow")
    both.paste(picture(t), (0, 0))
    both.save(file)


def test_oxford(figures: Callable[..., Any], draw: Draw, tmp_path: Path) -> None:
    folder = draw("buildings", near=0.05, junk=0.1, good=0.3, far=0.7)
    half_of(0, folder / "query.png")
    truth = tmp_path / "gt"
    truth.mkdir()
    (truth / "hall_1_query.txt").write_text(f"oxc1_query 0 0 {SIDE} {SIDE}")
    (truth / "hall_1_good.txt").write_text("good\n")
    (truth / "hall_1_ok.txt").write_text("near\n")
    (truth / "hall_1_junk.txt").write_text("query\njunk\n")
    found = figures("oxford", folder, "--gt", truth)
    # The box is the line's beginning: near, (junk), good, far.
    assert raw(found, "mAP", "crop") == 1.0
    assert 0 < raw(found, "mAP", "full") <= 1

    (truth / "hall_1_ok.txt").write_text("")
    (truth / "hall_1_junk.txt").write_text("query\n")
    # near, junk, then the only relevant one: (0 + 1/3) / 2.
    assert raw(figures("oxford", folder, "--gt", truth), "mAP", "crop") == pytest.approx(1 / 6)


def test_revisited(figures: Callable[..., Any], draw: Draw, tmp_path: Path) -> None:
    folder = draw("revisited", a=0.05, b=0.15, c=0.1, d=0.4, e=0.02)
    half_of(0, folder / "q.png")
    entry = {"bbx": [0.0, 0.0, SIDE, SIDE], "easy": np.array([0]), "hard": np.array([1])}
    truth = {
        "imlist": ["a", "b", "c", "d", "e"],
        "qimlist": ["q"],
        "gnd": [entry | {"junk": np.array([2])}],
    }
    file = tmp_path / "gnd_roxford5k.pkl"
    file.write_bytes(pickle.dumps(truth, protocol=2))
    found = figures("revisited", folder, "--gt", file)
    # In order: e, a (easy), c (junk), b (hard), d.
    assert raw(found, "mAP", "easy") == pytest.approx(1 / 4)
    assert raw(found, "mP@10", "easy") == pytest.approx(1 / 2)
    assert raw(found, "mAP", "medium") == pytest.approx((1 / 4 + (1 / 2 + 2 / 3) / 2) / 2)
    assert raw(found, "mP@10", "medium") == pytest.approx(2 / 3)
    assert raw(found, "mAP", "hard") == pytest.approx(1 / 4)


def test_pairs(
    figures: Callable[..., Any], draw: Draw, holidays_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("query,match\nholidays/100000.png,holidays/100001.png\n")
    assert raw(figures("pairs", file), "mAP") == 1.0
    found = figures("pairs", file, "--gallery", holidays_folder)
    assert raw(found, "mAP") == pytest.approx(1 / 4)
    assert raw(found, "recall@10") == 1.0
