"""Projections: fitted exactly in one pass, immutable, portable, and computable in SQL."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector
from typer.testing import CliRunner

from spocdb import projections as fitting
from spocdb.db import projections
from spocdb.db.collections import Collection
from spocdb.errors import (
    CollectionNotFound,
    ConfigError,
    DatabaseError,
    NotEnoughSamples,
    ProjectionNotFound,
)
from spocdb.features.projection import Moments, fit, project
from spocdb.features.recipes import make_recipe
from spocdb.projections import name_beside
from spocdb.records import Float32Array, Projection, Recipe
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
ARRAYS = ("mean", "components", "scale", "singular_values", "explained")


def assert_equal(a: Projection, b: Projection) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert (a.fingerprint, a.n_samples, a.settings) == (b.fingerprint, b.n_samples, b.settings)


def test_a_streamed_fit_is_the_pca_of_all_rows(
    gallery: Database, gallery_rows: Float32Array
) -> None:
    # 5000 rows come in more than one chunk.
    rows = gallery_rows.astype(np.float64)
    _, fitted = gallery.pca.show(2)
    _, singular_values, components = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(fitted.singular_values, singular_values[:64], rtol=1e-9)
    np.testing.assert_allclose(
        np.abs((fitted.components * components[:64]).sum(axis=1)), 1, atol=1e-6
    )
    np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), atol=1e-7)


def test_everything_it_was_fitted_on_is_recorded(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60), "a")
    add_images(db.connection, clustered(60, seed=1), "b")
    number = db.pca.fit("b", "a", dim=8, whiten=False, regularisation=0.5)
    summary, projection = db.pca.show(number)
    assert summary.kind == "pca"
    assert (summary.dim, summary.n_samples) == (8, 120)
    assert summary.settings == {"dim": 8, "whiten": False, "centre": True, "regularisation": 0.5}
    assert summary.fitted_on["collections"] == ["a", "b"]
    assert summary.fitted_on["n_images"] == 120
    assert len(summary.fitted_on["images_sha256"]) == 64
    assert (summary.embedded, summary.active) == ([], [])
    expected = fit(
        Moments.of(np.concatenate([clustered(60), clustered(60, seed=1)])),
        8,
        whiten=False,
        regularisation=0.5,
    )
    np.testing.assert_allclose(projection.components, expected.components, atol=1e-5)


def test_the_same_images_give_the_same_fingerprint_anywhere(
    db: Database, other: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(80)
    add_images(db.connection, rows)
    # In another order, in two batches, under two names each, and in another collection.
    add_images(other.connection, rows[:-50:-1], "mine")
    add_images(other.connection, rows, "mine", first=100)
    first, second = db.pca.fit(dim=8), other.pca.fit(dim=8)
    assert_equal(db.pca.show(first)[1], other.pca.show(second)[1])
    recorded = [d.pca.show(n)[0].fitted_on for d, n in ((db, first), (other, second))]
    assert recorded[0]["images_sha256"] == recorded[1]["images_sha256"]
    assert db.pca.fit(dim=8) == first, "the same numbers are stored once"
    assert db.pca.fit(dim=7) != first


def test_a_version_stays_as_it_was_when_images_come(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    first = db.pca.fit(dim=8)
    before = db.pca.show(first)
    add_images(db.connection, clustered(60, seed=1), first=60)
    second = db.pca.fit(dim=8)
    assert second != first
    assert db.pca.show(first)[0] == before[0]
    assert_equal(db.pca.show(first)[1], before[1])
    assert db.pca.show(second)[0].n_samples == 120


def test_too_few_images_are_an_error_that_says_how_many_are_needed(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, np.repeat(clustered(8), 3, axis=0))
    with pytest.raises(NotEnoughSamples, match=r"^8 images are too few for 8 .* 9 are the least"):
        db.pca.fit(dim=8)
    assert [p.kind for p in db.pca.list()] == ["raw"]


def test_collections_of_two_extractors_are_refused(
    db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe
) -> None:
    add_images(db.connection, clustered(60), "a")
    add_images(db.connection, clustered(60, seed=1), "b", replace(made_up, size=320))
    with pytest.raises(ConfigError, match=r"one extractor, these have several: a \(.*b \("):
        db.pca.fit("a", "b", dim=8)
    number = db.pca.fit("a", dim=8)
    with pytest.raises(DatabaseError, match=r"60 images of b have no .* run `db\.reembed\('squee"):
        db.pca.activate(number, "b")
    assert db.pca.show(number)[0].embedded == []


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_an_exported_projection_comes_back_equal_in_another_database(
    db: Database,
    other: Database,
    add_images: AddImages,
    clustered: Clustered,
    tmp_path: Path,
    suffix: str,
) -> None:
    rows = clustered(60, 512)
    add_images(db.connection, rows)
    number, file = db.pca.fit(dim=8, regularisation=0.1), tmp_path / f"pca{suffix}"
    db.pca.export(number, file)
    assert db.pca.import_(file) == number, "the same numbers are stored once"

    imported = other.pca.import_(file)
    assert_equal(other.pca.show(imported)[1], db.pca.show(number)[1])
    assert other.pca.show(imported)[0].fitted_on == db.pca.show(number)[0].fitted_on
    add_images(other.connection, rows)
    other.pca.activate(imported)
    db.pca.activate(number)
    assert [h.path for h in other.similar(1)] == [h.path for h in db.similar(1)]


@pytest.fixture
def exported(
    db: Database, add_images: AddImages, clustered: Clustered, tmp_path: Path
) -> tuple[Path, Path]:
    """Return one projection in both kinds of file."""
    add_images(db.connection, clustered(60, 512))
    files = tmp_path / "pca.npz", tmp_path / "pca.safetensors"
    for file in files:
        db.pca.export(db.pca.fit(dim=8), file)
    return files


@pytest.mark.parametrize("name", ["mean", "components", "scale"])
def test_a_changed_file_is_refused(
    db: Database, exported: tuple[Path, Path], name: str, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    npz, safetensors = exported
    with np.load(npz) as data:
        arrays = dict(data)
    arrays[name].flat[3] *= 1.001
    np.savez(npz, allow_pickle=False, **arrays)
    with safe_open(safetensors, framework="numpy") as data:
        about = data.metadata()
    del arrays["about"]
    save_file(arrays, safetensors, metadata=about)
    for file in exported:
        with pytest.raises(ConfigError, match="was changed since it was exported: export it again"):
            db.pca.import_(file)


def test_a_file_that_is_no_projection_is_refused(
    db: Database, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    for file in exported:
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(ConfigError, match=r"is no projection: export one with `db.pca.exp"):
            db.pca.import_(file)
        shutil.copy(__file__, file)
        with pytest.raises(ConfigError, match="is no projection"):
            db.pca.import_(file)
        file.unlink()
        with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
            db.pca.import_(file)
    with pytest.raises(ConfigError, match=r"must end in \.safetensors or \.npz"):
        db.pca.import_(tmp_path / "pca.txt")
    with pytest.raises(ConfigError, match=r"must end in \.safetensors or \.npz"):
        db.pca.export(2, tmp_path / "pca.txt")
    with pytest.raises(ConfigError, match="cannot write"):
        db.pca.export(2, tmp_path / "nowhere" / "pca.npz")
    with pytest.raises(ConfigError, match="is the raw one: there is nothing to export"):
        db.pca.export(1, tmp_path / "pca.npz")
    assert [p.kind for p in db.pca.list()] == ["raw", "pca"]


@pytest.mark.parametrize("options", [{}, {"whiten": False}, {"centre": False}, None])
def test_projecting_in_sql_equals_projecting_in_python(
    db: Database, add_images: AddImages, clustered: Clustered, options: dict[str, Any] | None
) -> None:
    add_images(db.connection, clustered(300, 128))
    number = 1 if options is None else db.pca.fit(dim=64, **options)
    rows = clustered(50, 128, seed=1)
    found = db.connection.cursor()
    found.executemany(
        "SELECT spocdb.project(%s, %s)", [(Vector(r), number) for r in rows], returning=True
    )
    embeddings = []
    for _ in rows:
        (value,) = found.fetchone() or (None,)
        embeddings.append(value.to_numpy())
        found.nextset()
    expected = project(rows, projections.load(db.connection, number))
    np.testing.assert_allclose(np.array(embeddings), expected, rtol=0, atol=1e-5)


def test_embed_projects_by_the_active_projection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    query = Vector(clustered(1, seed=1)[0])
    for number in (1, db.pca.fit(dim=8)):
        db.pca.activate(number)
        row = db.connection.execute(
            "SELECT spocdb.embed('photos', %s) = spocdb.project(%s, %s)", [query, query, number]
        ).fetchone()
        assert row == (True,)


def test_no_vector_no_projection_and_no_collection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    query = Vector(clustered(1)[0])
    row = db.connection.execute(
        "SELECT spocdb.project(NULL, 1), spocdb.project(%s, NULL), spocdb.project(%s, 99), "
        "spocdb.embed('photos', NULL), spocdb.embed(NULL, %s)",
        [query, query, query],
    ).fetchone()
    assert row == (None,) * 5
    # Returning NULL here would make an ORDER BY, or a search, by nothing.
    with pytest.raises(psycopg.errors.UndefinedObject, match="no collection named nothing"):
        db.connection.execute("SELECT spocdb.embed('nothing', %s)", [query])


@pytest.mark.parametrize("kind", ["raw", "pca"])
def test_projecting_a_vector_of_another_dimension_is_an_error(
    db: Database, add_images: AddImages, clustered: Clustered, kind: str
) -> None:
    add_images(db.connection, clustered(60))
    number = 1 if kind == "raw" else db.pca.fit(dim=8)
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions 7 and 32"):
        db.connection.execute("SELECT spocdb.project(%s, %s)", [Vector(np.ones(7)), number])


def test_a_new_fit_reaches_the_embeddings_without_any_image(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    # There are no files and no weights: all that there is, is the database.
    rows = clustered(200)
    add_images(db.connection, rows)
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    expected = project(rows, projections.load(db.connection, number))
    found = db.connection.execute("SELECT embedding FROM spocdb.photos ORDER BY path").fetchall()
    np.testing.assert_array_equal(np.array([row[0].to_numpy() for row in found]), expected)


def test_the_first_projection_comes_by_itself(
    db: Database, add_images: AddImages, clustered: Clustered, tmp_path: Path, said: list[str]
) -> None:

    def ingest_nothing(**options: Any) -> str:
        db.ingest(tmp_path, **options)
        (active,) = [p.kind for p in db.pca.list() if p.active]
        return active

    rows = clustered(300, 512)
    add_images(db.connection, rows[:200])
    assert ingest_nothing(auto_pca=100) == "raw", "200 are too few for 256 dimensions"
    assert [h.method for h in db.similar(1, 3)] == ["hnsw"] * 3
    add_images(db.connection, rows[200:], first=200)
    assert ingest_nothing(auto_pca=0) == "raw"
    assert ingest_nothing() == "raw", "by default it takes a thousand"
    assert ingest_nothing(auto_pca=300) == "pca"
    assert "fitted projection 2 on 300 images" in said
    assert [p.dim for p in db.pca.list()] == [512, 256]
    add_images(db.connection, clustered(300, 512, seed=1), first=300)
    ingest_nothing(auto_pca=300)
    assert len(db.pca.list()) == 2, "only the first one comes by itself"
    assert len(db.similar(550, 3)) == 3


def test_a_gallery_answers_from_the_first_image(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(2)
    add_images(db.connection, rows[:1])
    assert db.similar(1) == []
    add_images(db.connection, rows[1:], first=1)
    (hit,) = db.similar(1)
    assert hit.path == "/photos/000001.jpg"
    assert hit.distance == pytest.approx(1 - float(rows[0] @ rows[1]), abs=1e-3)


def test_a_pca_from_another_folder(
    db: Database,
    spocdb: Callable[..., Any],
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
) -> None:
    db.ingest(make_photos(6), **recipe, collection="photos")
    ran = spocdb(
        "pca", "fit", "--from", make_photos(12, "others", seed=1), "--dim", 8, "--activate",
        "-c", "photos",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (fitted,) = [p for p in db.pca.list() if p.kind == "pca"]
    ((name,), n_samples) = fitted.fitted_on["collections"], fitted.n_samples
    assert re.fullmatch("others-for-pca-[0-9a-f]{8}", name) and n_samples == 12
    assert fitted.active == ["photos"]
    assert [c.dim for c in db.collections()] == [256, 8]


def test_what_is_in_use_is_not_dropped(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    with pytest.raises(ConfigError, match=f"projection {number} is the active one of photos"):
        db.pca.drop(number, "photos")
    with pytest.raises(DatabaseError, match=r"still embeds photos: run `db\.pca\.drop\(2, coll"):
        db.pca.drop(number)
    with pytest.raises(DatabaseError, match="the extractor's raw one and stays"):
        db.pca.drop(1)
    with pytest.raises(ProjectionNotFound, match=r"no projection 99: see `db.pca.list"):
        db.pca.drop(99)
    with pytest.raises(ProjectionNotFound, match="no projection 99"):
        db.pca.activate(99)
    with pytest.raises(CollectionNotFound, match="no collection named nothing"):
        db.pca.activate(number, "nothing")
    db.pca.activate(1)
    db.pca.drop(number, "photos")
    db.pca.drop(number)
    assert [p.id for p in db.pca.list()] == [1]
    assert [s.projection for s in db.index.status()] == [1]


def test_every_number_of_an_exported_projection_is_in_the_file(
    exported: tuple[Path, Path],
) -> None:
    npz, _ = exported
    with np.load(npz) as data:
        about = json.loads(str(data["about"]))
        assert set(data) == {*ARRAYS, "about"}
    assert about["fitted_on"]["collections"] == ["photos"]
    assert (
        make_recipe("squeezenet1_1", about["recipe"]["weights"]).name
        == Recipe(**about["recipe"]).name
    )


def test_a_pca_from_a_folder_called_like_the_gallery_leaves_the_gallery_alone(
    db: Database,
    spocdb: Callable[..., Any],
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    tmp_path: Path,
) -> None:
    db.ingest(make_photos(6), **recipe)
    make_photos(12, "elsewhere", seed=1).rename(tmp_path / "elsewhere-photos")
    (tmp_path / "other").mkdir()
    others = (tmp_path / "elsewhere-photos").rename(tmp_path / "other" / "photos")
    ran = spocdb("pca", "fit", "--from", others, "--dim", 8, "--activate")
    assert ran.returncode == 0, ran.stderr
    assert "12 images of photos-for-pca-" in ran.stdout
    assert "photos: projection 2 is active" in ran.stdout
    beside, photos = sorted((c.n_images, c.name) for c in db.collections())[::-1]
    assert (photos, beside[0]) == ((6, "photos"), 12)


def test_folders_that_are_called_alike_are_two_for_a_pca(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    tmp_path: Path,
) -> None:
    db.ingest(make_photos(3, "gallery"), **recipe, collection="photos")
    for n, parent in enumerate(("a", "b"), 1):
        (tmp_path / parent).mkdir()
        make_photos(12, f"{parent}/images", seed=n)
    first, second = (db.ingest_beside(tmp_path / p / "images", "photos") for p in ("a", "b"))
    assert first != second
    sizes = {c.name: c.n_images for c in db.collections()}
    assert (sizes[first], sizes[second]) == (12, 12)
    assert db.pca.show(db.pca.fit(second, dim=8))[0].n_samples == 12
    # The same folder by a link is the same one, and holds what it holds now.
    (tmp_path / "link").symlink_to(tmp_path / "a" / "images")
    for n in range(2):
        (tmp_path / "a" / "images" / f"{n:04d}.jpg").unlink()
    assert db.ingest_beside(tmp_path / "link", "photos") == first
    assert {c.name: c.n_images for c in db.collections()}[first] == 10
    # Another extractor makes others of it.
    db.ingest(make_photos(3, "gallery"), collection="max", pooling="max", **recipe)
    assert db.ingest_beside(tmp_path / "a" / "images", "max") != first


def test_a_folder_that_lost_its_images_does_not_cost_those_that_were_had_of_it(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    db.ingest(make_photos(3, "gallery"), **recipe, collection="photos")
    other = make_photos(4, "other", seed=1)
    name = db.ingest_beside(other, "photos")
    for file in other.iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="there are no images under"):
        db.ingest_beside(other, "photos")
    other.rmdir()
    with pytest.raises(ConfigError, match="no such file or folder"):
        db.ingest_beside(other, "photos")
    assert {c.name: c.n_images for c in db.collections()}[name] == 4


def test_the_name_of_a_folder_beside_fits_whatever_the_folder_is_called() -> None:
    names = {
        name_beside(f"{folder}/{last}", "mini-1")
        for folder in ("/a", "/b")
        for last in ("x" * 200, "é" * 100, "caf\udce9", "写真 🐈" * 9, "")
    }
    assert len(names) == 10
    assert all(0 < len(name.encode()) <= 63 for name in names)


def test_too_few_dimensions_and_images_are_said_at_once(
    db: Database, add_images: AddImages, clustered: Clustered, app: Any, said: list[str]
) -> None:
    add_images(db.connection, clustered(60))
    ran = CliRunner().invoke(app, ["pca", "fit", "--dim", "4", "--db", db.url])
    assert ran.exit_code == 0
    assert re.match(r"warning: 4 dimensions keep \d+% of the variance", ran.stderr)
    said.clear()
    db.pca.fit(dim=30)
    assert said == [
        "warning: 60 images are few for whitening 30 dimensions, 90 or more are better: "
        "fit on more, or with `whiten=False`"
    ]


def test_pca_fit_fits_on_the_collection_that_is_named(
    db: Database, spocdb: Callable[..., Any], add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    add_images(db.connection, clustered(50, seed=1), name="shoes")
    ran = spocdb("pca", "fit", "--collection", "shoes", "--dim", 8)
    assert "fitted on 50 images of shoes" in ran.stdout


def test_an_ingest_leaves_what_was_activated_meanwhile(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    before = add_images(db.connection, clustered(300))
    number = db.pca.fit(dim=8)
    db.pca.activate(number)
    fitting.settle(db.connection, db.engine.connect, before, auto_pca=10)
    assert [p.id for p in db.pca.list() if p.active] == [number]


def test_an_ingest_whose_first_pca_fails_still_gets_its_index(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    monkeypatch.setattr("spocdb.projections.DEFAULT_DIM", 8)
    rows = np.zeros((40, 32), np.float32)
    rows[np.arange(40), np.arange(40) % 2] = 1
    rows[:, 2] = np.linspace(0, 0.5, 40)
    target = add_images(db.connection, rows)
    said.clear()
    fitting.settle(db.connection, db.engine.connect, target, auto_pca=10)
    assert said[0].startswith("no first PCA yet: ")
    assert said[1] == "building the index"
