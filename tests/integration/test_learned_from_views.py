"""Projections learned from views of a collection's own images, from ingest to search."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.db import collections
from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.images.geometry import fitted
from spocdb.records import Float32Array
from spocdb.training.matching import AUGMENTATION, Labelled, Views
from spocdb.training.projecting import train_head, whiten
from spocdb.training.schedule import Schedule
from spocdb.training.views import framed, lit
from tests.fixtures.opened import Database
from tests.fixtures.shop import Shop

N_PHOTOS = 24
SHORT = Schedule(epochs=2, batch_size=16, learning_rate=1e-3)


@pytest.fixture
def photos(db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]) -> Path:
    """Return an ingested folder of photos, one of them under two names."""
    folder = make_photos(N_PHOTOS)
    (folder / "copy.jpg").write_bytes((folder / "0003.jpg").read_bytes())
    db.ingest(folder, **recipe, auto_pca=0)
    return folder


def test_the_views_of_an_image_match_it(db: Database, photos: Path) -> None:
    (target,) = db.collections()
    with db.engine.connection() as connection:
        chunks = list(Views(2, seed=5).chunks(db, [collections.get(connection, target.name)]))
    descriptors = np.concatenate([rows for rows, _ in chunks])
    classes = np.concatenate([numbers for _, numbers in chunks])
    np.testing.assert_array_equal(classes, np.repeat(np.arange(N_PHOTOS), 3))
    by_hash = sorted(db.images(), key=lambda image: db.image(image.id).sha256)
    stored = {image.path: image for image in by_hash if not image.path.endswith("copy.jpg")}
    for number, path in ((0, next(iter(stored))), (7, list(stored)[7])):
        expected = _described(db, path, seed=5)
        np.testing.assert_allclose(descriptors[3 * number : 3 * number + 3], expected, atol=2e-3)


def _described(db: Database, path: str, seed: int) -> Float32Array:
    """Return the descriptors of a file and of its two views, made one by one."""
    (known,) = db.extractors()
    recipe, extractor = known.recipe, db.engine.extractor(known.recipe)
    sha256 = next(db.image(i.id).sha256 for i in db.images() if i.path == path)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    made = [fitted(image, recipe.size, recipe.fit, recipe.canvas)]
    for k in range(2):
        rng = random.Random(f"{seed} {sha256} view {k}")
        view = framed(image, AUGMENTATION, rng)
        made.append(lit(fitted(view, recipe.size, recipe.fit, recipe.canvas), AUGMENTATION, rng))
    return np.concatenate([extractor.extract([pixels]) for pixels in made])


def test_from_ingest_to_search(db: Database, photos: Path, spocdb: Callable[..., Any]) -> None:
    ran = spocdb("pca", "learn", "--views", 2, "--dim", 16, "--activate")
    assert f"fitted on {N_PHOTOS} images of photos, {2 * N_PHOTOS} matching pairs" in ran.stdout
    summary = db.pca.show(2)[0]
    assert (summary.kind, summary.active) == ("discriminative", ["photos"])
    assert (summary.settings["views"], summary.settings["views_seed"]) == (2, 0)
    found = db.search(photos / "0005.jpg", 3)
    assert Path(found[0].path).name == "0005.jpg"
    # The ingest may have run in bfloat16.
    assert found[0].distance < 0.01
    assert db.search(photos / "0005.jpg", 3, projection=1)[0].path == found[0].path
    db.pca.rollback()
    db.pca.drop(2, "photos")
    db.pca.drop(2)


def test_a_seed_gives_the_same_projection(db: Database, photos: Path) -> None:
    first, again, other = (whiten(db, Views(2, seed=s), dim=8) for s in (1, 1, 2))
    assert first == again != other
    heads = [train_head(db, Views(2), dim=8, schedule=SHORT) for _ in range(2)]
    assert heads[0] == heads[1]


def test_images_that_are_gone_are_left_out(db: Database, photos: Path, said: list[str]) -> None:
    for name in ("0000.jpg", "0001.jpg"):
        (photos / name).unlink()
    (photos / "0002.jpg").write_bytes(b"other bytes")
    number = whiten(db, Views(2), dim=8)
    assert db.pca.show(number)[0].fitted_on["n_classes"] == N_PHOTOS - 3
    (line,) = [line for line in said if line.startswith("left out")]
    assert line.startswith("left out: 3 images that cannot be read, such as image ")
    for file in photos.iterdir():
        file.unlink()
    with pytest.raises(NotEnoughSamples, match=r"^photos: 0 classes .* bring the files back$"):
        whiten(db, Views(2), dim=8)


def test_rows_of_an_attached_table_have_views_too(stocked: Shop) -> None:
    number = whiten(stocked.db, Views(3), dim=4)
    assert stocked.db.pca.show(number)[0].fitted_on["n_pairs"] == 18
    assert train_head(stocked.db, Views(3), dim=4, schedule=SHORT) > number


def test_few_pairs_are_told_by_the_command_and_the_record(
    db: Database, photos: Path, spocdb: Callable[..., Any], said: list[str]
) -> None:
    whiten(db, Views(2), dim=16)
    assert not [line for line in said if "few" in line], "shrinkage makes up for few pairs"
    train_head(db, Views(2), dim=20, schedule=SHORT)
    line = "48 matching pairs are few for a head of 20 dimensions, 60 or more are better"
    assert f"warning: {line}: bring more pairs, or fewer dimensions (`dim=...`)" in said
    shown = spocdb("pca", "show", 3)
    assert shown.stderr == f"warning: {line}\n"
    assert [p.scarcity for p in db.pca.versions()] == [None, None, line]
    assert f"{N_PHOTOS}, few" in spocdb("pca", "list").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say which images match: give --labels KEY or --views N, one of them"),
        (["--views", 2, "--labels", "kind"], "give --labels KEY or --views N, one of them"),
        (["--views", 0], "greater than or equal to 1"),
        (["--views", 2, "--kind", "pca"], "'pca' is neither discriminative nor head"),
        (["--views", 2, "--epochs", 3], "--epochs: it is not an option of --kind discriminative"),
        (
            ["--views", 2, "--kind", "head", "--regularisation", "0.1"],
            "--regularisation: it is not an option of --kind head",
        ),
        (["--views", 2, "--regularisation", "some"], "'some' is neither a number nor auto"),
    ],
)
def test_wrong_usage_is_told(
    spocdb: Callable[..., Any], options: list[object], message: str
) -> None:
    ran = spocdb("pca", "learn", *options)
    assert ran.returncode == 2
    assert message in ran.stderr


def test_errors_are_one_line(db: Database, photos: Path, spocdb: Callable[..., Any]) -> None:
    ran = spocdb("pca", "learn", "--labels", "kind")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "spocdb: photos: 0 classes of two different images or more, 2 are the least: "
        "label more images by 'kind', or learn from --views 4\n"
    )
    with pytest.raises(ConfigError, match="unknown loss 'cosine'"):
        train_head(db, Views(2), loss="cosine")
    with pytest.raises(ConfigError, match="views must be 1 or more, not 0"):
        Views(0)
    with pytest.raises(ConfigError, match="held_out must be between 0 and 1"):
        train_head(db, Labelled("kind"), held_out=1.0)
