"""Maps of collections: stored whole or not at all, and honest about images that came later."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from spocdb import machine, maps
from spocdb.db import connections
from spocdb.db import mapping as stored
from spocdb.errors import (
    ConfigError,
    InvalidValue,
    MapNotFound,
    ProjectionNotFound,
    RightMissing,
    UnknownChoice,
)
from spocdb.features import layouts
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

AddImages = Callable[..., Any]
COMPONENTS: dict[str, Any] = {"method": "components"}


@pytest.fixture
def fill(db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]) -> Any:
    """Return a function that adds `n` images of 32 dimensions."""

    def add(n: int, first: int = 0) -> None:
        add_images(db.connection, clustered(n, 32, seed=first), first=first)

    return add


def test_a_map_of_the_components(db: Database, fill: Any) -> None:
    fill(60)
    db.pca.activate(db.pca.fit(dim=4))
    made = db.map(**COMPONENTS)
    assert (made.collection, made.projection, made.method) == ("photos", 2, "components")
    assert (made.n_placed, made.n_embedded, made.n_without, made.settings) == (60, 60, 0, {})
    assert db.describe_map() == made
    assert db.describe().maps == db.maps() == [made]
    points = db.map_points()
    assert points.n_placed == 60
    ids, embeddings = db.embeddings()
    assert points.ids.tolist() == ids.tolist()
    _, projection = db.pca.show(2)
    np.testing.assert_allclose(
        points.positions, layouts.first_components([embeddings], projection), atol=1e-6
    )


def test_a_map_of_a_kept_projection_is_beside_that_of_the_active_one(
    db: Database, fill: Any
) -> None:
    fill(60)
    db.pca.activate(db.pca.fit(dim=4))
    # The raw projection has no components: its embeddings' own are drawn.
    made = db.map(projection=1, **COMPONENTS)
    with pytest.raises(MapNotFound, match=r"no map by projection 2: run `db.map\('photos', proj"):
        db.map_points()
    active = db.map(**COMPONENTS)
    assert [one.projection for one in db.describe().maps] == [1, 2]
    raw = db.map_points(projection=1)
    assert raw.n_placed == made.n_placed
    assert raw.positions.std(axis=0)[0] > raw.positions.std(axis=0)[1] > 0
    # A map goes with the embeddings that it was made from.
    db.pca.drop(1, "photos")
    assert db.describe().maps == [active]
    with pytest.raises(ProjectionNotFound):
        db.map(projection=1, **COMPONENTS)


@pytest.mark.slow
def test_umap_with_a_seed_is_the_same_again(db: Database, fill: Any) -> None:
    fill(60)
    made = db.map(method="umap", neighbours=10, seed=3)
    assert (made.method, made.n_placed) == ("umap", 60)
    wanted = {"neighbours": 10, "min_distance": 0.1, "seed": 3, "metric": "euclidean"}
    assert made.settings == wanted
    first = db.map_points()
    assert np.isfinite(first.positions).all() and np.ptp(first.positions, axis=0).min() > 1
    again = db.map(seed=3, neighbours=10)
    assert again.method == "umap" and again.id != made.id
    np.testing.assert_array_equal(db.map_points().positions, first.positions)


def test_images_that_come_change_or_go_after_the_map(db: Database, fill: Any) -> None:
    fill(20)
    made = db.map(**COMPONENTS)
    fill(3, first=100)
    now = db.describe_map()
    assert (now.id, now.n_placed, now.n_embedded, now.n_without) == (made.id, 20, 23, 3)
    ids = db.map_points().ids.tolist()
    db.delete(ids[0], ids[1])
    # The bytes of an image change: its position was that of the old ones.
    db.connection.execute("UPDATE spocdb.images SET sha256 = sha256('x') WHERE id = %s", [ids[2]])
    now = db.describe_map()
    assert (now.n_placed, now.n_embedded, now.n_without) == (17, 21, 4)
    assert db.map_points().ids.tolist() == ids[3:]
    assert db.map(**COMPONENTS).n_placed == 21
    db.drop("photos")
    assert db.connection.execute("SELECT FROM spocdb.map_positions").fetchall() == []
    assert db.connection.execute("SELECT FROM spocdb.maps").fetchall() == []


def test_images_that_no_map_by_this_projection_can_hold_are_not_awaited(
    db: Database, fill: Any, said: list[str], tmp_path: Path
) -> None:
    fill(20)
    # As images are that came after the collection got another extractor.
    db.connection.execute("DELETE FROM spocdb.embeddings_1_1 WHERE image_id <= 3")
    made = db.map(**COMPONENTS)
    assert (made.n_placed, made.n_embedded, made.n_without) == (17, 17, 0)
    db.export(tmp_path / "photos.parquet")
    assert not any("came after" in line for line in said)


def test_what_is_deleted_while_the_map_is_computed_is_not_waited_for(
    db: Database, fill: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(20)
    with connections.connect(url) as application, application.transaction():
        store = stored.store

        def delete_meanwhile(*arguments: Any) -> Any:
            application.execute("DELETE FROM spocdb.images WHERE id = 1")
            db.connection.execute("UPDATE spocdb.images SET sha256 = sha256('x') WHERE id = 2")
            db.connection.execute("DELETE FROM spocdb.images WHERE id = 3")
            return store(*arguments)

        monkeypatch.setattr(stored, "store", delete_meanwhile)
        made = db.map(**COMPONENTS)
    assert (made.n_placed, made.n_embedded) == (17, 19)
    assert db.describe_map().n_embedded == 18
    assert db.map_points().ids.tolist() == [*range(4, 21)]


@pytest.mark.parametrize(
    "method", ["auto", pytest.param("umap", marks=pytest.mark.slow), "components"]
)
@pytest.mark.parametrize("n", [1, 2, layouts.FEWEST_FOR_UMAP - 1])
def test_few_images_are_laid_out_by_components(
    db: Database, fill: Any, n: int, method: maps.Method, said: list[str]
) -> None:
    fill(n)
    assert db.map(method=method).method == "components"
    points = db.map_points()
    assert points.positions.shape == (n, 2) and np.isfinite(points.positions).all()
    told = [line for line in said if "too few for UMAP" in line]
    assert len(told) == (method != "components")


def test_copies_of_one_image_lie_on_one_place(
    db: Database, add_images: AddImages, said: list[str]
) -> None:
    row = np.eye(32, dtype=np.float32)[:1]
    for n in range(12):
        add_images(db.connection, row, first=n)
    assert db.map().method == "components"
    assert np.ptp(db.map_points().positions, axis=0).tolist() == [0, 0]
    assert any("all embeddings are the same" in line for line in said)


@pytest.mark.parametrize("most", [1, 10, 499, 500])
def test_a_sample_of_a_map_is_spread_over_it(db: Database, fill: Any, most: int) -> None:
    fill(500)
    db.map(**COMPONENTS)
    whole, part = db.map_points(), db.map_points(most=most)
    assert (len(whole.ids), part.n_placed) == (500, 500)
    assert most - 2 <= len(part.ids) <= most
    at = np.searchsorted(whole.ids, part.ids)
    np.testing.assert_array_equal(whole.ids[at], part.ids)
    np.testing.assert_array_equal(whole.positions[at], part.positions)
    assert db.map_points(most=most).ids.tolist() == part.ids.tolist()
    # No part of the ids is left out, nor is one preferred.
    counts, _ = np.histogram(at, bins=5, range=(0, 500))
    assert np.ptp(counts) <= 3


def test_without_images_there_is_nothing_to_map(db: Database, fill: Any) -> None:
    fill(1)
    db.delete(1)
    with pytest.raises(ConfigError, match="photos has no embedded images, so there is nothing"):
        db.map()


def test_without_umap_the_components_take_its_place(
    db: Database, fill: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(20)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert db.map().method == "components"
    missing = "umap-learn is not installed (`pip install 'spocdb[map]'`)"
    assert f"{missing}: the map shows the first two components" in said
    with pytest.raises(ConfigError, match=r"`pip install 'spocdb\[map\]'`\): install it, or use"):
        db.map(method="umap")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "cannot import name 'UMAP' from 'umap'"),
        ("raise SystemError('NumPy 1.26 or less is needed')", "NumPy 1.26 or less is needed"),
    ],
    ids=["another package", "broken"],
)
def test_a_umap_that_cannot_be_imported_is_like_none(
    db: Database,
    fill: Any,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    reason: str,
) -> None:
    fill(20)
    (tmp_path / "umap").mkdir()
    (tmp_path / "umap" / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "umap"]:
        monkeypatch.delitem(sys.modules, name)
    assert db.map().method == "components"
    (line,) = [line for line in said if "the map shows the first two components" in line]
    assert line.startswith(f"umap-learn cannot be imported: {reason}")
    with pytest.raises(ConfigError, match="umap-learn cannot be imported: "):
        db.map(method="umap")
    # What was imported here must not stay.
    sys.modules.pop("umap", None)


def loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take umap-learn as loaded, which takes half a minute, where it does not come to be used."""
    monkeypatch.setattr(layouts, "why_no_umap", lambda: None)


def test_umap_takes_no_more_memory_than_there_is(
    db: Database, fill: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(20)
    loads_nothing(monkeypatch)
    monkeypatch.setattr(machine, "memory", lambda: 1000)
    with pytest.raises(ConfigError, match=r"UMAP needs about .* of memory: use `method='comp"):
        db.map(method="umap")
    assert db.map().method == "components"
    assert any(line.startswith("UMAP needs about") for line in said)


def test_an_interrupted_map_leaves_the_earlier_one(
    db: Database, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(20)
    made = db.map(**COMPONENTS)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    loads_nothing(monkeypatch)
    monkeypatch.setattr(layouts, "umap_positions", interrupt)
    with pytest.raises(KeyboardInterrupt):
        db.map(method="umap")
    assert db.describe_map() == made


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "tsne"}, UnknownChoice, "unknown method 'tsne': one of auto, umap, components"),
        ({"neighbours": 1}, InvalidValue, "neighbours must be 2 to 1000, not 1"),
        ({"min_distance": 1.5}, InvalidValue, "min_distance must be 0 to 1, not 1.5"),
        ({"seed": -1}, InvalidValue, "seed must be 0 to 4294967295, not -1"),
    ],
)
def test_options_out_of_range(db: Database, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        db.map(**options)


def test_a_reader_reads_the_maps_of_its_collection_and_makes_none(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str]
) -> None:
    for name in ("products", "secret"):
        granted.db.map(name, **COMPONENTS)
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as reader:
        own, theirs = reader.map_points("products"), granted.db.map_points("products")
        assert own.ids.tolist() == theirs.ids.tolist()
        assert reader.describe_map("products") == granted.db.describe_map("products")
        np.testing.assert_array_equal(own.positions, theirs.positions)
        with pytest.raises(RightMissing, match=r"may not store maps"):
            reader.map("products")


def test_a_worker_replaces_and_deletes_images_that_have_positions(
    granted: Any, roles: dict[str, str], url: str
) -> None:
    granted.db.map("products", **COMPONENTS)
    granted.db.grant_worker(roles["worker"])
    before = granted.db.describe_map("products")
    with connections.connect(make_conninfo(url, user=roles["worker"])) as worker:
        ids = granted.db.map_points("products").ids.tolist()
        worker.execute("UPDATE spocdb.images SET sha256 = sha256('x') WHERE id = %s", [ids[0]])
        worker.execute("DELETE FROM spocdb.images WHERE id = %s", [ids[1]])
    assert granted.db.describe_map("products").n_placed == before.n_placed - 2


def test_the_commands_say_what_is_on_the_map(
    db: Database, fill: Any, spocdb: Callable[..., Any]
) -> None:
    fill(20)
    run = partial(spocdb, "map", "photos", "--method", "components")
    ran = run()
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "photos: 20 images mapped by components, projection 1\n"
    assert '"n_placed": 20' in run("--json").stdout
    fill(3, first=100)
    shown = spocdb("collections", "show", "photos").stdout
    assert "projection 1: components, 20 images, " in shown
    assert "3 came after it: map again" in shown
    ran = spocdb("map", "photos", "--projection", "9")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "collection photos has no embeddings by projection 9" in ran.stderr
    ran = spocdb("map", "photos", "--neighbours", "1")
    assert ran.stderr == "spocdb: --neighbours must be 2 to 1000, not 1\n"


@pytest.mark.slow
def test_umap_prints_nothing_of_its_own(
    db: Database, fill: Any, spocdb: Callable[..., Any]
) -> None:
    fill(12)
    ran = spocdb("map", "--method", "umap", "--seed", "1")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "photos: 12 images mapped by umap, projection 1\n"
    # Compiling may take so long that spocdb says how far it is.
    said = [line for line in ran.stderr.splitlines() if not line.startswith("laying out: ")]
    assert said == ["reading 12 embeddings", "finding the 15 nearest of each"]


def test_progress_is_logged(db: Database, fill: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fill(20)
    db.map(**COMPONENTS)
    assert "reading 20 embeddings" in caplog.messages


def test_a_file_named_otherwise_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"photos.csv: the name must end in .parquet"):
        db.export(tmp_path / "photos.csv")
