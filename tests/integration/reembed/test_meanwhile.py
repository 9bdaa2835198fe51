"""Searches and ingests run while a collection is re-embedded."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb import search as searching
from spocdb.db import collections, connections
from spocdb.errors import DatabaseError
from spocdb.records import Float32Array
from spocdb.records import Recipe as StoredRecipe
from spocdb.search import Request, describe
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import Meanwhile, WaitUntil
from tests.integration.reembed.checks import IMAGES, N_PHOTOS, check, command, extractor_of, once

Options = dict[str, Any]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def recipe() -> Options:
    """Return the options of the first extractor: one that processes load without torchvision."""
    return {"extractor": "mini", "size": 64}


@pytest.fixture(scope="module")
def better() -> Options:
    """Return the options of the second extractor."""
    return {"extractor": "mini", "size": 48}


def test_searches_go_on_and_always_find_k(
    db: Database, photos: Path, better: Options, meanwhile: Meanwhile
) -> None:
    opened = [connections.connect(db.url) for _ in range(2)]

    def search_by_id() -> None:
        found = opened[0].execute("SELECT id FROM spocdb.similar('photos', 1, 5)").fetchall()
        assert len(found) == 5

    def search_by_view() -> None:
        found = opened[1].execute(
            "SELECT v.id FROM spocdb.photos v "
            "ORDER BY v.embedding <#> spocdb.embedding('photos', 2) LIMIT 5"
        )
        assert len(found.fetchall()) == 5

    with meanwhile(search_by_id, search_by_view):
        db.reembed(**better, dim=12)
        db.pca.rollback()
        db.pca.rollback()
    for connection in opened:
        connection.close()
    check(db, N_PHOTOS)


@pytest.fixture
def come(db: Database, photos: Path, make_photos: Make) -> Callable[..., None]:
    """Return a callback that once ingests a changed and five new images by the old extractor."""
    more, old = make_photos(6, "more", seed=1), extractor_of(db)

    def ingest() -> None:
        (more / "0000.jpg").replace(photos / "0000.jpg")
        with Database(db.settings) as other:
            assert other.ingest(photos, more).n_new == 6
            assert extractor_of(other) == old

    return once(ingest)


def test_images_that_come_while_the_others_are_described_are_there_in_the_end(
    db: Database, photos: Path, better: Options, come: Callable[..., None]
) -> None:
    # This runs before the first image is read, so the changed image has other bytes by then.
    db.reembed(**better, on_progress=come)
    assert extractor_of(db) == db.recipe(**better).name
    check(db, N_PHOTOS + 5)


def test_images_that_come_while_the_index_is_built_are_there_in_the_end(
    db: Database, photos: Path, better: Options, come: Callable[..., None], hear: Any
) -> None:
    hear(lambda line: come() if "building the index" in line else None)
    db.reembed(**better)
    assert extractor_of(db) == db.recipe(**better).name
    check(db, N_PHOTOS + 5)


def test_an_ingest_that_began_before_the_switch_fails_after_it_and_then_goes_on(
    db: Database, photos: Path, better: Options, make_photos: Make
) -> None:
    more = make_photos(20, "more", seed=1)

    def reembed() -> None:
        with Database(db.settings) as other:
            other.reembed(**better)

    message = "^collection photos changed its extractor meanwhile: run the same command again$"
    with pytest.raises(DatabaseError, match=message):
        switch = once(reembed)
        db.ingest(more, batch_size=1, on_progress=lambda p: switch(p) if p.n_done else None)
    assert extractor_of(db) == db.recipe(**better).name
    ((n_images,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    check(db, n_images)
    assert db.ingest(more).n_unchanged == n_images - N_PHOTOS
    check(db, N_PHOTOS + 20)


@pytest.mark.slow
def test_an_ingest_in_another_process_goes_on_meanwhile(
    db: Database,
    photos: Path,
    better: Options,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    more = make_photos(150, "more", seed=1)
    process = start("ingest", more, "--batch-size=1")
    wait_until(lambda: db.connection.execute(IMAGES).rowcount > N_PHOTOS, process)
    db.reembed(**better)
    _, said = process.communicate(timeout=120)
    if process.returncode:
        assert process.returncode == 1, said
        assert "changed its extractor meanwhile: run the same command again" in said
    again = start("ingest", more)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    check(db, N_PHOTOS + 150)


# Several batches.
N_MANY = 300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)]
)
def test_stopped_in_the_middle_it_goes_on_where_it_was(
    db: Database,
    recipe: Options,
    better: Options,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
    number: signal.Signals,
    code: int,
) -> None:
    db.ingest(make_photos(N_MANY), **recipe)
    old = extractor_of(db)
    arguments = ["reembed", better["extractor"], *command(better), "--dim=8"]
    process = start(*arguments)

    def n_described() -> int:
        ((n,),) = db.connection.execute(f"SELECT count(*) - {N_MANY} FROM spocdb.descriptors")
        return int(n)

    wait_until(n_described, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    n_before = n_described()
    assert 0 < n_before < N_MANY
    assert extractor_of(db) == old
    check(db, N_MANY)
    process = start(*arguments)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert out == f"photos: projection {db.collections()[0].projection} is active\n"
    assert f"{N_MANY} images: {N_MANY - n_before} new, {n_before} unchanged" in said
    check(db, N_MANY)


def test_a_query_that_the_switch_overtakes_is_described_anew(
    db: Database, photos: Path, better: Options
) -> None:
    def reembed() -> None:
        with Database(db.settings) as other:
            other.reembed(**better)

    overtake = once(reembed)

    def described(recipe: StoredRecipe) -> Float32Array:
        overtake()
        query = (photos / "0007.jpg").read_bytes()
        return describe(query, recipe, lambda: db.engine.extractor(recipe), db.settings.limits)

    hits = searching.search(
        db.engine.connection, collections.get(db.connection, "photos"), described, Request(3)
    )
    assert [hits[0].path, len(hits)] == [str(photos / "0007.jpg"), 3]
    assert hits[0].distance < 1e-2
