"""One projection for all servers: fitted once, switched at once, in step again after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb import ConfigError, ProjectionNotFound, Shards
from tests.fixtures.opened import Database
from tests.fixtures.sharded import Rows, rows_of

Make = Callable[..., Path]
Recipe = dict[str, Any]

ACTIVE = """
SELECT p.kind, p.dim, p.fingerprint FROM spocdb.collections c
JOIN spocdb.projections p ON p.id = c.active_projection_id
"""


@pytest.fixture
def folder(make_photos: Make, shards: Shards, recipe: Recipe) -> Path:
    """Return a folder of 60 images that the three databases have."""
    folder = make_photos(60)
    shards.ingest(folder, auto_pca=0, **recipe)
    return folder


def active(parts: list[Database]) -> list[Rows]:
    return [rows_of([part], ACTIVE) for part in parts]


def paths(db: Database | Shards, query: Path) -> list[str]:
    return [hit.path for hit in db.search(query, 60, exact=True)]


def test_a_fit_gives_the_numbers_of_one_database(
    shards: Shards, parts: list[Database], db: Database, folder: Path, recipe: Recipe
) -> None:
    db.ingest(folder, auto_pca=0, **recipe)
    for regularisation in (0.0, "auto"):
        options: dict[str, Any] = {"dim": 16, "regularisation": regularisation}
        number, alone = shards.pca.fit(**options), db.pca.fit(**options)
        assert shards.pca.fit(**options) == number
        (summary, fitted), (_, fitted_alone) = shards.pca.show(number), db.pca.show(alone)
        assert fitted.fingerprint == fitted_alone.fingerprint
        assert (summary.n_samples, summary.fitted_on["n_images"]) == (60, 60)
    shards.pca.activate(number)
    db.pca.activate(alone)
    ((one,),) = {tuple(rows) for rows in active(parts)}
    assert one == ("pca", 16, fitted.fingerprint)
    query = folder / "0007.jpg"
    assert paths(shards, query) == paths(db, query)
    assert [hit.method for hit in shards.search(query, 3)] == 3 * ["hnsw"]
    assert shards.pca.rollback() != number
    assert [rows[0][0] for rows in active(parts)] == 3 * ["raw"]
    assert shards.search(query, 5, projection=number)[0].path == str(query)


def test_searches_are_by_the_first_servers_projection(
    shards: Shards, parts: list[Database], folder: Path
) -> None:
    """A switch that is killed between two servers leaves them with different ones."""
    number = shards.pca.fit(dim=8)
    shards.pca.activate(number)
    query = folder / "0007.jpg"
    after = paths(shards, query)
    shards.pca.rollback()
    before = paths(shards, query)
    assert before != after
    first = parts[0]
    target = first.connection.execute("SELECT id FROM spocdb.collections").fetchone()
    assert target is not None
    first.pca.activate(number)
    assert len(set(map(str, active(parts)))) == 2
    assert paths(shards, query) == after
    # The next ingest brings the others in step.
    shards.ingest(folder, auto_pca=0)
    assert len(set(map(str, active(parts)))) == 1
    assert paths(shards, query) == after


def test_a_server_without_the_projection_is_named(
    shards: Shards, parts: list[Database], folder: Path
) -> None:
    number = parts[0].pca.fit(dim=4)
    parts[0].pca.activate(number)
    with pytest.raises(ProjectionNotFound, match=r"^server 2 of 3: .* by projection \d+ of the f"):
        shards.search(folder / "0007.jpg")
    shards.pca.activate(number)
    assert len(shards.search(folder / "0007.jpg", 60, exact=True)) == 60


def test_a_projection_of_another_extractor_is_refused(
    shards: Shards, folder: Path, tmp_path: Path
) -> None:
    shards.ingest(folder, collection="others", extractor="mini", size=96, auto_pca=0)
    number = shards.pca.fit("others", dim=4)
    with pytest.raises(ConfigError, match="ingest them into another collection"):
        shards.pca.activate(number, "photos")
    with pytest.raises(ConfigError, match="to one extractor, these have several: photos"):
        shards.pca.fit("photos", "others", dim=4)
    shards.pca.export(number, tmp_path / "four.npz")
    assert shards.pca.import_(tmp_path / "four.npz") == number


@pytest.mark.slow
def test_the_first_pca_and_the_indexes_of_an_ingest(
    shards: Shards, parts: list[Database], make_photos: Make, random_recipe: Recipe
) -> None:
    shards.ingest(make_photos(257), auto_pca=257, thumbnails=False, **random_recipe)
    ((one,),) = {tuple(rows) for rows in active(parts)}
    assert one[:2] == ("pca", 256)
    assert all(status.index for part in parts for status in part.index.status() if status.active)
    assert 0.9 < (shards.index.measure() or 0) <= 1
    assert 0.9 < (shards.index.build(kind="hnsw-vector") or 0) <= 1
    kinds = {s.kind for part in parts for s in part.index.status() if s.active}
    assert kinds == {"hnsw-vector"}
