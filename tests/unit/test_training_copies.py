"""The copy-detection term of a distillation."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.features.backbones.mini import WEIGHTS
from spocdb.features.extractor import load_extractor
from spocdb.features.network import Network
from spocdb.features.recipes import make_recipe
from spocdb.images.geometry import fitted
from spocdb.records import Float32Array
from spocdb.settings import Limits
from spocdb.training import loop, samples, start
from spocdb.training.copies import N_BESIDE, Copies, nearest_of_each, side_by_side
from spocdb.training.distillation import Distillation
from spocdb.training.samples import Split
from spocdb.training.schedule import Schedule
from spocdb.training.teaching import Teacher, Teachers
from spocdb.training.validation import describe, mean_average_precision
from spocdb.training.views import MILD, STRONG, framed, lit, opened

pytestmark = pytest.mark.slow

LIMITS = Limits(10**6, 10**7, 10**8)
SIZE = 48


def test_the_term_by_hand() -> None:
    # Two images at a right angle, whose copies are equal to them.
    views = torch.eye(2)
    contrast = math.log(1 + 2 / math.e)
    distance = math.sqrt(2)
    term = Copies(weight=3.0, temperature=1.0, entropy=0.5).loss(views, views)
    assert term.item() == pytest.approx(3 * (contrast - 0.5 * math.log(distance)))


def test_the_term_falls_as_copies_come_nearer_and_other_images_go_farther() -> None:
    def loss(apart: float, off: float) -> float:
        """Two images `apart`, each copy `off` its image, in degrees."""
        angles = torch.tensor([[0.0, apart], [off, apart + off]]).deg2rad()
        views, copies = torch.stack([angles.cos(), angles.sin()], dim=2)
        return Copies(weight=1.0).loss(views, copies).item()

    assert loss(40, 5) < loss(40, 15) < loss(40, 35)
    assert loss(80, 5) < loss(40, 5) < loss(20, 5)


def test_two_equal_images_do_not_spoil_the_gradient() -> None:
    given = torch.ones(4, 3, requires_grad=True)
    views = functional.normalize(given)
    Copies(weight=1.0).loss(views[:2], views[2:]).backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None and torch.isfinite(given.grad).all()


@pytest.mark.parametrize(
    ("copies", "line"),
    [
        (Copies(-1.0), "^copies must be 0 or more"),
        (Copies(math.inf), "^copies must be "),
        (Copies(1.0, temperature=0.0), "^temperature must be positive"),
        (Copies(1.0, entropy=math.nan), "^entropy must be "),
    ],
)
def test_numbers_that_cannot_be(copies: Copies, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        copies.check()


def test_images_stand_beside_their_nearest_ones() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = nearest_of_each(rows[:50])
    by_hand = sorted(range(1, 50), key=lambda other: -float(rows[0] @ rows[other]))
    assert nearest[0].tolist() == by_hand[:16]
    # Images 50 to 59 have no known neighbours.
    order = random.Random(0).sample(range(60), 60)
    given = list(side_by_side(order, nearest))
    assert sorted(given) == list(range(60))
    first = next(image for image in order if image < 50)
    place = given.index(first)
    assert given[place + 1 : place + 1 + N_BESIDE] == nearest[first][:N_BESIDE].tolist()
    assert list(side_by_side(order, np.empty((0, 0), np.int64))) == order


@pytest.fixture
def split(make_photos: Callable[..., Path]) -> Split:
    return samples.split(samples.find([make_photos(300)], LIMITS), 0.1, seed=0)


def task_in(folder: Path, split: Split, copies: Copies) -> Distillation:
    """Return a distillation of `mini` with `mini` as its own teacher, at a size for tests."""
    # Sums over so small pictures would span less than 256 dimensions.
    taught_by = make_recipe("mini", "ab12", size=64, pooling="max")
    teacher = load_extractor(taught_by, WEIGHTS, "cpu", "float32")
    targets = Teacher(teacher, folder / "targets", len(split.train), 1)
    return Distillation(
        make_recipe("mini", "", size=SIZE),
        Teachers([targets]),
        split,
        MILD,
        copies,
        n_views=1,
        batch_size=32,
        seed=0,
        limits=LIMITS,
    )


def distilled(split: Split, folder: Path, copies: Copies) -> Network:
    """Return `mini` after two epochs with `mini` as its own teacher."""
    task = task_in(folder, split, copies)
    task.fit_targets(256)
    recipe = make_recipe("mini", "", size=SIZE)
    network = Network(recipe, start.build(recipe, WEIGHTS, 0))
    schedule = Schedule(2, 32, 5e-4, device="cpu", precision="float32")
    loop.train(network, task, schedule, folder / "checkpoint", "")
    (folder / "checkpoint").unlink()
    return network


def described(network: Network, split: Split) -> tuple[Float32Array, list[str]]:
    """Return descriptors of two strong views of each held-out image, and their images."""
    pixels, labels = [], []
    for sample in split.held_out:
        for view in range(2):
            rng = random.Random(f"{sample.sha256} {view}")
            with opened(sample.path, LIMITS) as image:
                seen = framed(image, STRONG, rng)
            recipe = network.recipe
            pixels.append(lit(fitted(seen, SIZE, recipe.fit, recipe.canvas), STRONG, rng))
            labels.append(sample.sha256)
    with torch.inference_mode():
        return describe(network, pixels, torch.float32), labels


def margin(descriptors: Float32Array) -> float:
    """Return how much nearer the other view of an image is than the nearest other image."""
    cosines = descriptors @ descriptors.T
    rows = np.arange(len(cosines))
    partners = cosines[rows, rows ^ 1]
    cosines[rows, rows] = cosines[rows, rows ^ 1] = -1
    return float((partners - cosines.max(axis=1)).mean())


def test_copies_of_images_it_never_saw_are_nearer_than_without_the_term(
    split: Split, tmp_path: Path
) -> None:
    without, images = described(distilled(split, tmp_path, Copies()), split)
    with_it, _ = described(distilled(split, tmp_path, Copies(weight=1.0)), split)
    assert margin(with_it) > margin(without)
    found = mean_average_precision(with_it, images)
    assert found > mean_average_precision(without, images) + 0.1


def test_a_batch_of_which_a_killed_process_stored_a_part_is_described_again(
    split: Split, tmp_path: Path
) -> None:
    task_in(tmp_path, split, Copies()).fit_targets(256)
    whole = np.load(tmp_path / "targets")
    left = np.lib.format.open_memmap(tmp_path / "targets", "r+")
    left[5:] = np.nan
    left[4, :, 100:] = np.nan  # a descriptor may lie on two pages of the file
    left.flush()
    task_in(tmp_path, split, Copies()).fit_targets(256)
    np.testing.assert_array_equal(np.load(tmp_path / "targets"), whole)
