"""An exported projection: equal after import into another database, refused if changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spocdb.db.collections import Collection
from spocdb.errors import (
    ConfigError,
)
from spocdb.features.recipes import make_recipe
from spocdb.records import Float32Array, Recipe
from tests.fixtures.equality import ARRAYS, assert_equal
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]


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
    """Return one projection in both file formats."""
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
