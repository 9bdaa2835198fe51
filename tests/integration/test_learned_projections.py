"""Learned projections: from labels to searches, in Python and in SQL alike."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pgvector import Vector

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.discriminative import Within, extended
from spocdb.features.discriminative import fit as fit_discriminative
from spocdb.features.projection import Moments, project
from spocdb.records import Float32Array
from spocdb.training.matching import Labelled
from spocdb.training.projecting import train_head, whiten
from tests.fixtures.equality import assert_equal
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

KIND = Labelled("kind")


def label(db: Database, collection: Collection, labels: list[Any]) -> None:
    """Give the images a value of the key `kind`, in their order; None gives none."""
    named = (
        (f"/{collection.name}/{i:06d}.jpg", {} if value is None else {"kind": value})
        for i, value in enumerate(labels)
    )
    images.stage_metadata(db.connection, named)
    images.apply_metadata(db.connection, collection)


def drowned(seed: int = 0, n_classes: int = 50, each: int = 4) -> tuple[Float32Array, list[str]]:
    """Return descriptors whose classes differ only where the variance is small, and the labels."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(n_classes), each)
    rows = np.zeros((len(classes), 32))
    rows[:, :16] = 0.3 * rng.normal(size=(n_classes, 16))[classes]
    rows[:, :16] += 0.03 * rng.normal(size=(len(classes), 16))
    rows[:, 16:] = rng.normal(size=(len(classes), 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32), [f"class {c}" for c in classes]


def precision(db: Database, labels: list[str]) -> float:
    """Return the part of all images' three nearest ones that have their label."""
    paths = {image.id: int(image.path[-10:-4]) for image in db.images()}
    found = [
        labels[int(hit.path[-10:-4])] == labels[paths[id_]]
        for id_ in paths
        for hit in db.similar(id_, 3)
    ]
    return float(np.mean(found))


@pytest.fixture
def labelled(db: Database, add_images: AddImages) -> Database:
    """Return a database with a collection whose images are labelled."""
    rows, labels = drowned()
    label(db, add_images(db.connection, rows), labels)
    return db


def test_searches_by_a_whitening_learned_from_labels_find_what_a_pca_does_not(
    labelled: Database,
) -> None:
    _, labels = drowned()
    labelled.pca.activate(labelled.pca.fit(dim=16))
    by_pca = precision(labelled, labels)
    number = whiten(labelled, KIND, dim=16)
    labelled.pca.activate(number)
    assert precision(labelled, labels) > 0.95 > 0.6 > by_pca
    assert labelled.pca.rollback() != number
    assert precision(labelled, labels) == by_pca


def test_all_that_it_learned_from_is_recorded(labelled: Database) -> None:
    number = whiten(labelled, KIND, dim=16)
    summary, projection = labelled.pca.show(number)
    assert (summary.kind, projection.kind, summary.dim) == ("discriminative",) * 2 + (16,)
    assert summary.n_samples == 200
    regularisation = summary.settings.pop("regularisation")
    assert 0 < regularisation < 1
    assert summary.settings == {"dim": 16, "labels": "kind"}
    del summary.fitted_on["images_sha256"]
    assert summary.fitted_on == {
        "collections": ["photos"],
        "n_images": 200,
        "n_classes": 50,
        "n_pairs": 150,
    }
    assert whiten(labelled, KIND, dim=16) == number, "the same numbers are stored once"
    assert whiten(labelled, KIND, dim=16, regularisation=regularisation) == number
    assert whiten(labelled, KIND, dim=15) != number


def test_sql_projects_as_python_does(labelled: Database) -> None:
    rows, _ = drowned()
    number = whiten(labelled, KIND, dim=16)
    expected = project(rows, labelled.pca.show(number)[1])
    statement = """
        SELECT spocdb.project(d.descriptor::vector, %s) FROM spocdb.images i
        JOIN spocdb.descriptors d USING (sha256) ORDER BY i.path
    """
    found = labelled.connection.execute(statement, [number]).fetchall()
    np.testing.assert_allclose([row[0].to_numpy() for row in found], expected, atol=1e-5)
    labelled.pca.activate(number)
    stored = labelled.connection.execute(
        "SELECT spocdb.embedding('photos', id) FROM spocdb.photos ORDER BY path"
    )
    np.testing.assert_array_equal([row[0].to_numpy() for row in stored], expected)


def test_images_without_one_clear_label_are_no_match(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(61)
    # Two names of one content, with the same label and with another one.
    target = add_images(db.connection, np.concatenate([rows, rows[:2]]))
    labels: list[Any] = ["a", "b", *["c", "d", "e", "f"] * 10, *[None] * 10, "", *[7, 7.0] * 4]
    label(db, target, [*labels, "a", "other"])
    number = whiten(db, KIND, dim=8)
    fitted = db.pca.show(number)[1]
    assert db.pca.show(number)[0].fitted_on["n_classes"] == 6
    order = sorted(range(61), key=lambda i: rows[i].tobytes())
    clear = [i for i in order if i not in (0, 1) and labels[i] not in (None, "")]
    names = [str(labels[i]) for i in clear]
    numbers = np.unique(names, return_inverse=True)[1]
    by_class = np.argsort(numbers, kind="stable")
    pairs = extended(Within.nothing(32), rows[clear][by_class], numbers[by_class]).moments
    expected = fit_discriminative(
        Moments.of(rows), pairs, 8, fitted.settings["regularisation"], {"labels": "kind"}
    )
    np.testing.assert_allclose(fitted.components, expected.components, atol=1e-4)
    np.testing.assert_allclose(fitted.scale, expected.scale, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [None] * 60,
            r"^photos: 0 classes of two different .* or more, 2 are the least: label",
        ),
        (["shoe"] * 60, r"^photos: 1 class of two .* label more images by 'kind'"),
        ([*range(59), 58], r"^photos: 1 class of two"),
    ],
)
def test_too_few_classes_are_said_in_one_line(
    db: Database, add_images: AddImages, clustered: Clustered, labels: list[Any], message: str
) -> None:
    label(db, add_images(db.connection, clustered(60)), labels)
    with pytest.raises(NotEnoughSamples, match=message):
        whiten(db, KIND, dim=8)
    with pytest.raises(NotEnoughSamples, match=message.replace("2 are", "4 are")):
        train_head(db, KIND, dim=8)
    assert [p.kind for p in db.pca.list()] == ["raw"]


def test_few_pairs_are_refused_only_without_regularisation(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    # Alone in their classes, so that these and the pairs are numbered apart.
    alone = ["c", "d", "e", "f"]
    label(db, add_images(db.connection, clustered(60)), ["a", "a", *alone, "g", "g", *[None] * 52])
    with pytest.raises(NotEnoughSamples, match=r"^2 pairs .* differ in only 2 of 32"):
        whiten(db, KIND, dim=8, regularisation=0.0)
    number = whiten(db, KIND, dim=8)
    assert db.pca.show(number)[0].settings["regularisation"] > 0.01
    with pytest.raises(ConfigError, match="dim must be 1 to 32"):
        whiten(db, KIND, dim=33)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_it_is_exported_and_imported(
    db: Database,
    other: Database,
    add_images: AddImages,
    clustered: Clustered,
    tmp_path: Path,
    suffix: str,
    said: list[str],
) -> None:
    label(db, add_images(db.connection, clustered(60, 512)), [*"abcdef"] * 10)
    number, file = whiten(db, KIND, dim=16), tmp_path / f"learned{suffix}"
    db.pca.export(number, file)
    assert db.pca.import_(file) == number
    said.clear()
    imported = other.pca.import_(file)
    assert said == [], "its components need not be orthogonal"
    assert_equal(other.pca.show(imported)[1], db.pca.show(number)[1])
    assert other.pca.show(imported)[0].fitted_on == db.pca.show(number)[0].fitted_on


def test_the_command_learns_and_activates(labelled: Database, spocdb: Callable[..., Any]) -> None:
    ran = spocdb("pca", "learn", "--labels", "kind", "--dim", 16, "--activate")
    assert ran.stdout.splitlines()[0].endswith("fitted on 200 images of photos, 150 matching pairs")
    assert ran.stdout.splitlines()[1] == "photos: projection 2 is active"
    assert ran.stderr.startswith("regularisation: ")
    listed = spocdb("pca", "list").stdout
    assert "discriminative" in listed
    shown = spocdb("pca", "show", 2).stdout
    assert re.search(r"^settings +dim 16, labels kind, regularisation", shown, re.M)
    assert re.search(r"^pairs +150 of 50 classes$", shown, re.M)


def test_a_head_is_trained_by_the_command(labelled: Database, spocdb: Callable[..., Any]) -> None:
    _, labels = drowned()
    line = ["pca", "learn", "--labels", "kind", "--kind", "head", "--epochs", 2, "--dim", 16]
    ran = spocdb(*line, "--loss", "triplet", "--seed", 3, "--activate")
    assert ran.returncode == 0, ran.stderr
    assert re.match(r"held-out mAP [01]\.\d{4} before training, [01]\.\d{4} after ep", ran.stderr)
    summary, fitted = labelled.pca.show(2)
    assert (summary.kind, summary.active) == ("head", ["photos"])
    kept = summary.settings
    assert (kept["loss"], kept["epochs"], kept["seed"], kept["dim"]) == ("triplet", 2, 3, 16)
    assert 0 <= kept["best_epoch"] <= 2
    assert precision(labelled, labels) > 0.95
    rows, _ = drowned()
    statement = "SELECT spocdb.project(%s, 2)"
    for row in rows[:5]:
        (found,) = labelled.connection.execute(statement, [Vector(row)]).fetchone() or ()
        np.testing.assert_allclose(found.to_numpy(), project(row[None], fitted)[0], atol=1e-5)


def test_a_head_needs_classes_to_hold_out(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    label(db, add_images(db.connection, clustered(60)), [*"abc"] * 20)
    with pytest.raises(NotEnoughSamples, match=r"^photos: 3 classes of two .* 4 are the least"):
        train_head(db, KIND, dim=8)


def test_neighbours_are_added_to_learned_embeddings_too(labelled: Database) -> None:
    labelled.pca.activate(whiten(labelled, KIND, dim=16))
    augmented = labelled.pca.show(labelled.pca.augment())[0]
    assert (augmented.kind, augmented.settings["augmented"]["base"]) == ("discriminative", 2)
    with pytest.raises(ConfigError, match="is an augmentation: export 2, its base"):
        labelled.pca.export(3, "augmented.npz")


def test_collections_learn_together(db: Database, add_images: AddImages) -> None:
    rows, labels = drowned()
    for name, part in (("a", slice(0, None, 2)), ("b", slice(1, None, 2))):
        label(db, add_images(db.connection, rows[part], name), labels[part])
    together = db.pca.show(whiten(db, KIND, "b", "a", dim=16))[0]
    assert together.fitted_on["collections"] == ["a", "b"]
    assert (together.fitted_on["n_classes"], together.fitted_on["n_pairs"]) == (50, 150)
