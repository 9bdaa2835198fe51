"""The benchmark of near-duplicates: its copies, its arithmetic, and its tables."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.copies import linkage, tables
from benchmarks.copies.changes import SAME, SETS, STRONGER
from benchmarks.copies.grouping import Grouped, judged
from benchmarks.copies.halves import Half, Shown, divided, write
from benchmarks.copies.measuring import pairs
from benchmarks.copies.methods import Matrix
from benchmarks.copies.pairs import COPIES, Count, Counts, counted, threshold
from benchmarks.copies.peers import OWN, Averaged, bit_distances, cosine_distances
from benchmarks.table import replaced
from spocdb.records import Float32Array


def half(*pictures: tuple[int, str]) -> Half:
    """Return a half of pictures (photograph, change) without files."""
    return Half(Path(), [Shown(Path(f"{i}"), *picture) for i, picture in enumerate(pictures)])


# Two photographs; the first has two copies, the second has one.
FEW = half((0, ""), (0, "a"), (0, "b"), (1, ""), (1, "a"))


def symmetric(n: int, **distances: float) -> Float32Array:
    """Return distances (n, n) of pairs such as _01; the others are 2."""
    made = np.full((n, n), 2, np.float32)
    np.fill_diagonal(made, 0)
    for name, distance in distances.items():
        a, b = int(name[1]), int(name[2])
        made[a, b] = made[b, a] = distance
    return made


def test_pairs_are_true_false_or_neither() -> None:
    assert np.argwhere(FEW.of_change("a")).tolist() == [[0, 1], [3, 4]]
    assert np.argwhere(FEW.of_change("b")).tolist() == [[0, 2]]
    assert np.argwhere(FEW.copies()).tolist() == [[1, 2]]
    assert np.argwhere(FEW.unrelated()).tolist() == [[a, b] for a in (0, 1, 2) for b in (3, 4)]


def test_a_threshold_is_the_largest_distance_of_the_precision() -> None:
    # In order of distance: true, true, false, true, false.
    distances = symmetric(5, _01=0.1, _34=0.2, _03=0.3, _02=0.4, _14=0.5)
    assert threshold(distances, FEW, ["a", "b"], 1.0) == pytest.approx(0.2)
    assert threshold(distances, FEW, ["a", "b"], 0.75) == pytest.approx(0.4)
    assert threshold(distances, FEW, ["a", "b"], 0.6) == pytest.approx(0.5)
    # Only the pairs of the changes in question are true.
    assert threshold(distances, FEW, ["b"], 0.5) == pytest.approx(0.4)


def test_pairs_of_equal_distances_are_found_together() -> None:
    distances = symmetric(5, _01=1, _34=1, _03=1)
    assert threshold(distances, FEW, ["a"], 0.7) is None
    assert threshold(distances, FEW, ["a"], 0.6) == 1


def test_no_distance_may_have_the_precision() -> None:
    distances = symmetric(5, _03=0.1)
    assert threshold(distances, FEW, ["a", "b"]) is None


def test_what_is_found_is_counted_by_change() -> None:
    near = symmetric(5, _01=0.1, _12=0.1, _03=0.1) < 1
    found = counted(near, FEW, ["a", "b"])
    assert found == Counts({"a": Count(1, 2), "b": Count(0, 1)}, Count(1, 1), Count(1, 6))
    assert (found + found).as_dict() == {
        "recall": 1 / 3,
        "precision": 1 / 2,
        "by_change": {"a": 0.5, "b": 0.0, COPIES: 1.0},
        "n_true": 6,
        "n_false": 12,
        "n_false_found": 2,
    }
    nothing = counted(near & False, FEW, ["a"]).as_dict()
    assert (nothing["recall"], nothing["precision"]) == (0, None)


class Given:
    """A method whose distances are given."""

    name = "given"

    def __init__(self, *distances: Float32Array) -> None:
        self._distances = [*distances]

    def compare(self, half: Half, other: Half) -> Matrix:
        return Matrix(self._distances.pop(0))


def test_a_threshold_is_measured_on_the_half_that_did_not_choose_it() -> None:
    first = symmetric(5, _01=0.1, _34=0.1, _02=0.1, _03=0.2)
    second = symmetric(5, _01=0.3, _34=0.3, _02=0.3, _03=0.2)
    found = pairs(Given(first, second), [FEW, FEW], ["a", "b"])
    # The second half has no distance of this precision, so nothing of the first one is found; up
    # to the first one's distance there is nothing in the second half.
    assert found["thresholds"] == [None, pytest.approx(0.1)]
    assert (found["recall"], found["precision"]) == (0, None)


def test_single_linkage_chains_and_stars_do_not() -> None:
    # A row of pictures, each near the next one, and a pair.
    row = symmetric(6, _01=0.1, _12=0.1, _23=0.1, _45=0.1)
    assert linkage.groups(row, 0.1) == [{0, 1, 2, 3}, {4, 5}]
    assert linkage.groups(row, 0.05) == []
    # A later picture joins two groups that there are.
    late = symmetric(5, _01=0.1, _23=0.1, _14=0.1, _24=0.1)
    assert linkage.groups(late, 0.1) == [{0, 1, 2, 3, 4}]


def test_single_linkage_sees_the_nearest_alone() -> None:
    distances = symmetric(4, _01=0.1, _02=0.2, _03=0.3)
    assert linkage.groups(distances, 0.3) == [{0, 1, 2, 3}]
    # The others have no nearer neighbour than 0.
    distances[1:, 0] = 2
    assert linkage.groups(distances, 0.3, k=2) == [{0, 1, 2}]


def test_groups_that_join_photographs_are_mixed() -> None:
    found = judged([{0, 1, 3}, {2, 4}], FEW)
    # 1 is with its original; 2 and 4 are not.
    assert found == Grouped(2, 2, 2, 1, 3)
    assert judged([{0, 1, 2}, {3, 4}], FEW) == Grouped(2, 0, 0, 3, 3)
    assert (found + judged([], FEW)) == Grouped(2, 2, 2, 1, 6)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Return six different pictures."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{number}.jpg" for number in range(6)]
    for file in files:
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((160, 120), Image.Resampling.BICUBIC).save(file)
    return files


def test_copies_are_the_same_in_every_run(photographs: list[Path], tmp_path: Path) -> None:
    made = [write(tmp_path / name, photographs[:3], 2, SAME, 1) for name in "ab"]
    other = write(tmp_path / "c", photographs[:3], 2, SAME, 2)
    first, second, third = (
        {f.file.name: f.file.read_bytes() for f in each.files} for each in (*made, other)
    )
    assert first == second != third
    names = [(shown.photograph, shown.change) for shown in made[0].files]
    assert names == [(0, ""), *((0, c) for c in SAME), (1, ""), *((1, c) for c in SAME), (2, "")]
    assert made[0].files[0].file.read_bytes() == photographs[0].read_bytes()


def test_halves_are_apart(photographs: list[Path]) -> None:
    first, second = divided(photographs, 0)
    assert sorted(first + second) == photographs and len(first) == len(second) == 3
    assert divided(photographs[::-1], 0) == (first, second)
    assert divided(photographs, 1) != (first, second)


def test_changes_do_what_they_are_called(photographs: list[Path]) -> None:
    with Image.open(photographs[0]) as opened:
        image = opened.convert("RGB")
    made = {
        name: Image.open(io.BytesIO(change(image, random.Random(0))))
        for name, change in [*SAME.items(), *STRONGER.items()]
    }
    assert {name: made[name].size for name in made if "x 0.25" in name or "x 2" in name} == {
        "resized, x 0.25": (40, 30),
        "resized, x 2": (320, 240),
    }
    for percent in (90, 80, 50):
        width, height = made[f"cropped to {percent} %"].size
        assert width * height == pytest.approx(percent / 100 * 160 * 120, rel=0.02)
    level = {name: np.asarray(copy, np.float32).mean() for name, copy in made.items()}
    assert level["darker, x 0.7"] < level["JPEG 90"] < level["brighter, x 1.3"]
    mirrored = np.asarray(made["mirrored"], np.float32)[:, ::-1]
    assert np.abs(mirrored - np.asarray(image, np.float32)).mean() < 5
    colours = np.asarray(made["grey"], np.float32)
    assert np.ptp(colours, axis=2).max() < 5
    # Without white corners: the corner is of the picture.
    assert np.asarray(made["rotated by 5°, white corners"])[0, 0].min() > 240
    assert np.asarray(made["rotated by 5°, cropped"])[0, 0].min() < 240


def test_distances_of_peers() -> None:
    assert bit_distances(["00", "01", "ff"]).tolist() == [[0, 1, 8], [1, 0, 7], [8, 7, 0]]
    vectors = np.array([[2, 0], [0, 3], [1, 1]], np.float32)
    slanted = 1 - 0.5**0.5
    expected = [[0, 1, slanted], [1, 0, slanted], [slanted, slanted, 0]]
    np.testing.assert_allclose(cosine_distances(vectors), expected, atol=1e-6)


def test_the_peers_own_network_takes_its_own_weights(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v3_small
    from torchvision.transforms.functional import normalize

    torch.manual_seed(0)
    network = mobilenet_v3_small(weights=None).eval()
    torch.save(network.state_dict(), file := tmp_path / "weights.pth")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        made = Averaged(OWN, file)(images)
        usual = normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        expected = network.avgpool(network.features(usual)).flatten(1)
    torch.testing.assert_close(made, expected)


def test_the_tables_are_those_of_the_newest_records() -> None:
    page = tables.PAGE.read_text()
    assert tables.recorded() == [*tables.FOLDERS]
    for folder in tables.FOLDERS:
        about = tables.latest(folder)
        assert replaced(page, folder, tables.shown(about)) == page


def test_every_change_has_a_row() -> None:
    (about, *_) = (tables.latest(folder) for folder in tables.FOLDERS)
    rows = tables.pairs(about["figures"]).splitlines()
    for changes in SETS.values():
        assert all(any(row.startswith(f"| {change} |") for row in rows) for change in changes)
