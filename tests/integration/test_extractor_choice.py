"""A collection keeps its first extractor, and finds its weights again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, WeightsNotFound
from tests.fixtures.opened import Database

Recipe = dict[str, Any]


@pytest.fixture
def recipe(random_recipe: Recipe) -> Recipe:
    return random_recipe


@pytest.fixture
def folder(make_photos: Callable[..., Path]) -> Path:
    return make_photos(2)


@pytest.fixture
def weights(recipe: Recipe, tmp_path: Path) -> Path:
    """Return a weights file that a test may move."""
    return Path(shutil.copy(recipe["weights"], tmp_path / "net.pth"))


def again(db: Database) -> Database:
    """Open the same database again, without a loaded network."""
    return Database(db.settings)


def test_another_extractor_is_a_clear_error_and_changes_nothing(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    for other in ({"extractor": "vgg19"}, {"size": 65}, {"pooling": "max"}, {"sigma": 0.5}):
        with pytest.raises(ConfigError, match=r"keeps it .*asked for.*use another `collection="):
            db.ingest(folder, **other)
    assert len(db.extractors()) == 1


@pytest.mark.parametrize("said", [{}, {"extractor": "squeezenet1_1"}, {"size": 64}])
def test_the_same_extractor_need_not_be_told_in_full(
    db: Database, recipe: Recipe, folder: Path, said: Recipe
) -> None:
    db.ingest(folder, **recipe)
    assert db.ingest(folder, **said).n_unchanged == 2


def test_options_on_top_of_a_preset_make_another_extractor(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    others: dict[str, Recipe] = {
        "plain": {},
        "gem": {"pooling": "gem", "gem_p": 2.5},
        "max": {"pooling": "max"},
        "before": {"relu": False},
        "padded": {"fit": "pad"},
        "flat": {"centering": False},
    }
    for collection, options in others.items():
        db.ingest(folder, collection=collection, **recipe, **options)
    assert len(db.extractors()) == 6
    assert {e.n_descriptors for e in db.extractors()} == {2}


def test_a_known_extractor_is_chosen_by_its_name(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    (known,) = db.extractors()
    assert db.ingest(folder, collection="other", extractor=known.name).n_reused == 2
    (known,) = db.extractors()
    assert known.collections == ["other", "photos"]


def test_an_unknown_extractor_is_answered_with_the_known_ones(db: Database, folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown extractor 'alexnet': one of vgg19, "):
        db.ingest(folder, extractor="alexnet")
    assert db.collections() == []


def test_a_later_search_finds_the_remembered_weights(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    with again(db) as later:
        assert later.search(folder / "0001.jpg", k=1)[0].path == str(folder / "0001.jpg")


def test_weights_that_moved_are_asked_for_and_then_remembered(
    db: Database, recipe: Recipe, folder: Path, weights: Path, tmp_path: Path
) -> None:
    db.ingest(folder, **recipe | {"weights": weights})
    moved = weights.rename(tmp_path / "moved.pth")
    for search in (True, False):
        with (
            again(db) as later,
            pytest.raises(WeightsNotFound, match=r"not on this machine: .*`weights=FILE`"),
        ):
            if search:
                later.search(folder / "0000.jpg")
            else:
                (folder / "0000.jpg").write_bytes((folder / "0001.jpg").read_bytes() + b"\0")
                later.ingest(folder)
    with again(db) as later:
        later.search(folder / "0000.jpg", weights=moved)
    with again(db) as later:
        assert later.search(folder / "0001.jpg", k=1)[0].distance < 1e-3


def test_weights_that_changed_under_their_name_are_not_used(
    db: Database, recipe: Recipe, folder: Path, weights: Path
) -> None:
    db.ingest(folder, **recipe | {"weights": weights})
    with open(weights, "ab") as stream:
        stream.write(b"\0")
    with again(db) as later:
        with pytest.raises(WeightsNotFound):
            later.search(folder / "0000.jpg")
        with pytest.raises(ConfigError, match=r"has .*weights .*asked for"):
            later.search(folder / "0000.jpg", weights=weights)


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_unreadable_weights_are_a_clear_error_and_make_no_collection(
    db: Database, folder: Path, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "bad.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.pth"):
        db.ingest(folder, extractor="squeezenet1_1", weights=file)
    assert db.collections() == []


def test_another_network_s_weights_are_a_clear_error_and_make_no_collection(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    with pytest.raises(ConfigError, match="these are no weights of vgg16"):
        db.ingest(folder, **recipe | {"extractor": "vgg16"})
    assert db.collections() == []
    db.ingest(folder, **recipe)


def test_a_device_that_is_not_here_makes_no_collection(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    with pytest.raises(ConfigError, match="no device 'gpu9' on this machine"):
        db.ingest(folder, device="gpu9", **recipe)
    assert db.collections() == []


def test_an_unknown_precision_is_a_clear_error(db: Database, recipe: Recipe, folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown precision 'float8'"):
        db.ingest(folder, precision="float8", **recipe)  # type: ignore[arg-type]
