"""Training data: classes, splits, views."""

import csv
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ConfigError
from spocdb.pipeline.chunks import chunks
from spocdb.recipe_options import Background
from spocdb.settings import Limits
from spocdb.training import labelling
from spocdb.training.feeding import feed
from spocdb.training.samples import Sample, split
from spocdb.training.views import STRONG, Augmentation, find_augmentation, framed, lit, opened

Make = Callable[..., Path]

LIMITS = Limits(10**6, 10**7, 10**8)


STILL = Augmentation(area=1.0, flip=0.0, colour=0.0, blur=0.0)


def numbered(n: int, n_classes: int = 0) -> list[Sample]:
    return [
        Sample(Path(f"{i}.jpg"), f"{i:064x}", f"class {i % n_classes}" if n_classes else "")
        for i in range(n)
    ]


def test_whole_classes_are_held_out() -> None:
    parts = split(numbered(60, n_classes=12), 0.25, seed=0)
    train, held_out = ({s.label for s in part} for part in (parts.train, parts.held_out))
    assert len(held_out) == 3 and len(train) == 9 and not train & held_out
    assert len(parts.train) + len(parts.held_out) == 60
    assert parts.about()["n_held_out_classes"] == 3


def test_a_split_depends_on_the_content_and_the_seed_alone() -> None:
    images = numbered(50)
    first, shuffled = split(images, 0.2, seed=1), random.Random(0).sample(images, 50)
    again, other = split(shuffled, 0.2, seed=1), split(images, 0.2, seed=2)
    assert {s.sha256 for s in first.held_out} == {s.sha256 for s in again.held_out}
    assert [s.sha256 for s in first.train] == [s.sha256 for s in again.train]
    assert {s.sha256 for s in first.held_out} != {s.sha256 for s in other.held_out}


def test_a_copy_of_a_held_out_image_is_not_trained_on() -> None:
    images = numbered(40, n_classes=8)
    held_out = split(images, 0.25, seed=0).held_out
    kept = next(s for s in images if s not in held_out)
    copy = Sample(Path("copy.jpg"), held_out[0].sha256, kept.label)
    parts = split([*images, copy], 0.25, seed=0)
    assert copy not in parts.train
    assert not {s.sha256 for s in parts.train} & {s.sha256 for s in parts.held_out}


@pytest.mark.parametrize("part", [0.0, 1.0, -1.0, float("nan")])
def test_a_part_that_holds_out_nothing_or_all_is_refused(part: float) -> None:
    with pytest.raises(ConfigError, match=r"^held_out must be between 0 and 1"):
        split(numbered(10), part, seed=0)


def test_too_few_to_hold_some_out() -> None:
    with pytest.raises(ConfigError, match="too few images to hold some out and train on others: 3"):
        split(numbered(3), 0.5, seed=0)


@pytest.fixture
def classes(make_photos: Make, tmp_path: Path) -> Path:
    """Return a folder that has five folders of three photographs each."""
    for number, photo in enumerate(sorted(make_photos(15).iterdir())):
        folder = tmp_path / "classes" / f"c{number // 3}"
        folder.mkdir(parents=True, exist_ok=True)
        photo.rename(folder / photo.name)
    return tmp_path / "classes"


def test_folders_are_classes(classes: Path) -> None:
    found = labelling.by_folder([classes], LIMITS)
    assert {s.label for s in found} == {"c0", "c1", "c2", "c3", "c4"}
    assert all(s.path.parent.name == s.label for s in found)


def test_a_column_names_the_classes(classes: Path) -> None:
    file = classes / "labels.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "kind"))
        for number, photo in enumerate(sorted(classes.rglob("*.jpg"))):
            rows.writerow((photo.relative_to(classes), ("", 1, 2, 3, 4)[number % 5]))
    found = labelling.by_column(file, "kind", LIMITS)
    assert sorted({s.label for s in found}) == ["1", "2", "3", "4"]
    assert len(found) == 12
    with pytest.raises(ConfigError, match=r"the column 'sort' .* give 0 classes"):
        labelling.by_column(file, "sort", LIMITS)


def test_what_hangs_together_by_pairs_is_a_class(classes: Path) -> None:
    file = classes / "pairs.csv"
    rows = ["query,match"]
    for folder in sorted(f for f in classes.iterdir() if f.is_dir()):
        a, b, c = (photo.relative_to(classes) for photo in sorted(folder.iterdir()))
        rows += [f"{a},{b}", f"{b},{c}"]
    file.write_text("\n".join(rows))
    found = labelling.by_pairs(file, LIMITS)
    by_label: dict[str, set[str]] = {}
    for sample in found:
        by_label.setdefault(sample.label, set()).add(sample.path.parent.name)
    assert len(by_label) == 5 and all(len(folders) == 1 for folders in by_label.values())


def test_copies_and_loners_and_what_cannot_be_read_are_left_out(
    classes: Path, said: list[str]
) -> None:
    photo = next(iter(sorted((classes / "c0").iterdir())))
    shutil.copy(photo, photo.with_name("copy.jpg"))
    (classes / "alone").mkdir()
    next(iter(sorted((classes / "c2").iterdir()))).rename(classes / "alone" / "a.jpg")
    (classes / "c1" / "gone.jpg").symlink_to("nowhere.jpg")
    (classes / "c1" / "a.psd").touch()
    found = labelling.by_folder([classes], LIMITS)
    assert len(found) == 14 and "alone" not in {s.label for s in found}
    assert said.pop(0) == "left out: 1 .psd"
    assert "left out: 1 unreadable file, such as " in said[0] and "gone.jpg" in said[0]
    assert said[1] == "left out: 1 image alone in a class"


def test_a_view_is_the_same_every_time(make_photos: Make) -> None:
    with opened(make_photos(1) / "0000.jpg", LIMITS) as image:
        image.load()
    how = Augmentation(area=0.2, perspective=1.0, blur=1.0)
    views = []
    for seed in (1, 1, 2):
        rng = random.Random(seed)
        seen = framed(image, how, rng).resize((48, 48))
        views.append(lit(np.asarray(seen), how, rng))
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("area", Augmentation(0.2, 0.0, 0.0, 0.0, 0.0)),
        ("flip", Augmentation(1.0, 1.0, 0.0, 0.0, 0.0)),
        ("colour", Augmentation(1.0, 0.0, 0.3, 0.0, 0.0)),
        ("perspective", Augmentation(1.0, 0.0, 0.0, 1.0, 0.0)),
        ("blur", Augmentation(1.0, 0.0, 0.0, 0.0, 1.0)),
        ("tilt", replace(STILL, tilt=1.0)),
        ("grey", replace(STILL, grey=1.0)),
        ("overlay", replace(STILL, overlay=1.0)),
        ("jpeg", replace(STILL, jpeg=1.0)),
    ],
)
def test_each_augmentation_changes_the_picture(
    what: str, change: Augmentation, make_photos: Make
) -> None:
    with opened(make_photos(1) / "0000.jpg", LIMITS) as image:
        image.load()
    views = []
    for how in (STILL, change):
        rng = random.Random(3)
        views.append(lit(np.asarray(framed(image, how, rng)), how, rng))
    still, view = views
    assert not np.array_equal(view, still), what
    if what == "flip":
        assert np.array_equal(view, still[:, ::-1])
    if what == "area":
        assert view.size < still.size
    if what == "grey":
        assert (view == view[:, :, :1]).all()
    if what == "overlay":
        n_changed = (view != still).any(axis=2).sum()
        assert 0 < n_changed < view.shape[0] * view.shape[1] / 2


def test_a_change_that_is_off_leaves_the_random_numbers_of_the_others() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    off, on = random.Random(0), random.Random(0)
    lit(pixels, STILL, off)
    lit(pixels, replace(STILL, grey=1e-9), on)
    fresh = random.Random(0)
    drawn = [fresh.random() for _ in range(4)]  # three colours and the blur
    assert off.random() == (following := fresh.random())
    assert drawn and on.random() != following


def test_an_unknown_augmentation_is_told() -> None:
    assert find_augmentation("strong").jpeg > 0
    with pytest.raises(ConfigError, match="unknown augmentation 'wild': one of mild, strong"):
        find_augmentation("wild")


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0)])
def test_a_view_is_flattened_on_the_recipes_background(
    background: Background, level: int, tmp_path: Path
) -> None:
    Image.new("RGBA", (40, 40)).save(tmp_path / "clear.png")
    with opened(tmp_path / "clear.png", LIMITS, background) as image:
        assert image.getextrema() == ((level, level),) * 3


def test_thin_images_have_views_too() -> None:
    for size in ((1, 400), (400, 1), (1, 1)):
        image = Image.new("RGB", size)
        for seed in range(20):
            how, rng = replace(STRONG, area=0.01, overlay=1.0, tilt=1.0), random.Random(seed)
            view = framed(image, how, rng)
            assert min(lit(np.asarray(view), how, rng).shape[:2]) >= 1


def test_what_cannot_be_decoded_is_neither_trained_on_nor_counted(
    classes: Path, said: list[str]
) -> None:
    (classes / "c0" / "broken.jpg").write_bytes(b"\xff\xd8\xffno picture")
    found = labelling.by_folder([classes], LIMITS)
    assert len(found) == 15
    assert "left out: 1 unreadable file, such as " in said[0] and "broken.jpg" in said[0]


def test_an_image_in_two_classes_is_left_out(classes: Path, said: list[str]) -> None:
    photo = min((classes / "c0").iterdir())
    shutil.copy(photo, classes / "c1" / "other.jpg")
    assert len(labelling.by_folder([classes], LIMITS)) == 14
    assert said == ["left out: 2 images in several classes"]


def test_items_come_in_order_group_by_group() -> None:
    made = list(feed(chunks(range(7), 3), lambda item: item * item))
    assert made == [[0, 1, 4], [9, 16, 25], [36]]


def test_an_error_in_a_view_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(feed([[0]], lambda item: 1 / item))
