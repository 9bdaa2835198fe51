"""Projections and embeddings that were changed by hand are refused everywhere."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from spocdb import search as searching
from spocdb.db import collections, doctor, projections, rights
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError, DatabaseError, DescriptorError
from spocdb.features.projection_files import ARRAYS
from spocdb.records import Float32Array
from spocdb.search import Request, describe
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

DAMAGE = {
    "DELETE FROM spocdb.projection_components WHERE position = 3": "has 7 of 8 components",
    "DELETE FROM spocdb.projection_components WHERE position > 5": "has 6 of 8 components",
    "DELETE FROM spocdb.projection_components": "has 0 of 8 components",
    "UPDATE spocdb.projection_components SET position = 10 WHERE position = 3": "has 8 of 8",
    "UPDATE spocdb.projection_components SET component = '[1,0]' WHERE position = 3": (
        "its components have not all 32 dimensions"
    ),
    "UPDATE spocdb.projections SET mean = '[0,0]' WHERE id = 2": "its mean (2,)",
    "UPDATE spocdb.projection_components SET scale = 'NaN' WHERE position = 3": "not all finite",
    "UPDATE spocdb.projection_components SET scale = 0": "whitening factors are not all within",
    "UPDATE spocdb.projection_components SET scale = scale * 1.01 WHERE position = 3": (
        "its numbers are not those that were stored"
    ),
}


def damage(db: Database, statement: str) -> None:
    """Run a statement without the triggers that protect such rows."""
    db.connection.execute("SET session_replication_role = replica")
    db.connection.execute(statement.encode())
    db.connection.execute("RESET session_replication_role")


@pytest.fixture
def fitted(db: Database, add_images: AddImages, clustered: Clustered) -> Database:
    """Return a database with 60 images and projection 2, fitted and not in use."""
    add_images(db.connection, clustered(60))
    assert db.pca.fit(dim=8) == 2
    return db


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_damaged_projection_is_named_at_every_door(
    fitted: Database, statement: str, tmp_path: Path
) -> None:
    damage(fitted, statement)
    for use in (
        lambda: fitted.pca.show(2),
        lambda: fitted.pca.activate(2),
        lambda: fitted.pca.export(2, tmp_path / "pca.npz"),
    ):
        with pytest.raises(DatabaseError, match="projection 2 cannot be used: ") as caught:
            use()
        assert DAMAGE[statement] in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "pca.npz").exists()
    assert fitted.similar(1, 3), "what is active goes on"
    fitted.pca.drop(2)
    assert [p.id for p in fitted.pca.list()] == [1]


def test_a_damaged_projection_that_is_active_can_be_left(
    fitted: Database, add_images: AddImages, clustered: Clustered
) -> None:
    fitted.pca.activate(2)
    damage(fitted, "DELETE FROM spocdb.projection_components WHERE position = 3")
    (finding,) = [f for f in doctor.examine(fitted.connection) if f.verdict == "error"]
    assert finding.what == "projection 2 cannot be used: it has 7 of 8 components"
    assert finding.advice.startswith("activate another where it is active")
    with pytest.raises(DatabaseError, match=r"projection 2 cannot be used: .*activate another"):
        add_images(fitted.connection, clustered(5, seed=1), first=100)
    assert fitted.pca.rollback() == 1
    fitted.pca.drop(2, "photos")
    add_images(fitted.connection, clustered(5, seed=1), first=100)
    assert len(fitted.similar(1, 100)) == 64


@pytest.mark.parametrize("command", ["show", "activate", "export"])
def test_a_damaged_projection_is_one_line_of_a_command(
    fitted: Database, app: Any, command: str, tmp_path: Path
) -> None:
    damage(fitted, "DELETE FROM spocdb.projection_components WHERE position = 3")
    arguments = ["pca", command, "2", "--db", fitted.url]
    if command == "export":
        arguments.append(str(tmp_path / "pca.npz"))
    ran = CliRunner().invoke(app, arguments)
    # `main` would print it and exit with 1; in this process it is raised.
    assert isinstance(ran.exception, DatabaseError)
    assert ran.stdout == ""


ZEROS = "UPDATE spocdb.embeddings_1_2 SET embedding = array_fill(0, ARRAY[8])::vector"
LONG = "UPDATE spocdb.embeddings_1_2 SET embedding = array_fill(1, ARRAY[8])::vector"


@pytest.mark.parametrize("statement", [ZEROS, LONG, f"{LONG} WHERE image_id = 7"])
def test_embeddings_that_are_not_of_length_one_are_not_activated(
    fitted: Database, statement: str
) -> None:
    fitted.pca.activate(2)
    fitted.pca.rollback()
    fitted.connection.execute(statement.encode())
    with pytest.raises(DatabaseError, match=r"of collection 1 by projection 2 are not of length o"):
        fitted.pca.activate(2)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        fitted.connection.execute("SELECT spocdb.activate(1, 2)")
    assert [p.id for p in fitted.pca.list() if p.active] == [1]
    # The advice works.
    fitted.pca.drop(2, "photos")
    fitted.pca.activate(2)
    assert [p.id for p in fitted.pca.list() if p.active] == [2]


def test_a_few_images_without_a_direction_keep_nothing_from_being_activated(
    fitted: Database,
) -> None:
    fitted.pca.activate(2)
    fitted.pca.rollback()
    fitted.connection.execute(f"{ZEROS} WHERE image_id < 5")
    fitted.pca.activate(2)
    assert len(fitted.similar(20, 100)) == 59


def test_a_file_that_cannot_be_used_leaves_nothing_behind(
    fitted: Database, other: Database, tmp_path: Path
) -> None:
    fitted.pca.activate(2)
    file = tmp_path / "pca.npz"
    with pytest.raises(ConfigError, match=r"descriptors of 32 dimensions, its extractor's have 51"):
        # Of a made-up extractor: SqueezeNet's own descriptors are longer.
        fitted.pca.export(2, file)
        other.pca.import_(file)
    assert other.extractors() == []
    assert other.pca.list() == []
    with np.load(file) as data:
        assert {*data} == {*ARRAYS, "about"}


def test_descriptors_that_are_not_of_length_one_give_no_projection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60) + 1)
    with pytest.raises(DescriptorError, match="cannot be used: its mean is longer than any mean"):
        db.pca.fit(dim=8)
    assert [p.kind for p in db.pca.list()] == ["raw"]


# Errors that SQL notices while it projects. It does not check for changed but valid numbers.
NOTICED = {
    "DELETE FROM spocdb.projection_components WHERE position = 3": "has 7 of 8 components",
    "DELETE FROM spocdb.projection_components": "has 0 of 8 components",
    "UPDATE spocdb.projection_components SET component = '[1,0]' WHERE position = 3": (
        "its components have not all 256 dimensions"
    ),
    "UPDATE spocdb.projections SET mean = '[0,0]' WHERE id = 2": "its mean (2,)",
    "UPDATE spocdb.projection_components SET scale = 'NaN' WHERE position = 3": "not all finite",
}


def test_a_search_by_a_damaged_projection_names_it(
    db: Database, make_photos: Callable[..., Path]
) -> None:
    folder = make_photos(12)
    db.ingest(folder, extractor="mini", size=64)
    db.pca.activate(db.pca.fit(dim=8))
    # In the transaction with the damage, which is rolled back.
    search = partial(
        searching.search,
        lambda: nullcontext(db.connection),
        collections.get(db.connection, "photos"),
        lambda recipe: describe(
            (folder / "0003.jpg").read_bytes(),
            recipe,
            lambda: db.engine.extractor(recipe),
            db.settings.limits,
        ),
        Request(3),
    )
    assert len(search()) == 3
    for statement, what in NOTICED.items():
        with db.connection.transaction(force_rollback=True):
            damage(db, statement)
            with pytest.raises(DatabaseError, match=r"^projection 2 cannot be used: ") as caught:
                search()
            assert what in str(caught.value)


def test_a_reader_is_told_which_projection_is_damaged(
    fitted: Database, clustered: Clustered
) -> None:
    fitted.pca.activate(2)
    damage(fitted, "UPDATE spocdb.projection_components SET scale = 'NaN' WHERE position = 3")
    with fitted.connection.transaction(force_rollback=True):
        fitted.connection.execute("CREATE ROLE spocdb_test_blind")
        target = collections.get(fitted.connection, "photos")
        rights.grant_reader(fitted.connection, "spocdb_test_blind", target)
        fitted.connection.execute("SET LOCAL ROLE spocdb_test_blind")
        with (
            pytest.raises(DatabaseError, match="projection 2 cannot be used: its whitening"),
            projections.blamed(fitted.connection, 2),
            fitted.connection.transaction(),
        ):
            db_search.embed(fitted.connection, "photos", clustered(1)[0])
