"""Each pair is computed once by products, and none is missed: whatever changes meanwhile."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spocdb import pairing
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Any]
PAIRS = "SELECT a, b, distance FROM spocdb.duplicate_pairs ORDER BY 1, 2"
DISTANCE = 0.3


@pytest.fixture
def rows(clustered: Callable[..., Float32Array]) -> Float32Array:
    return clustered(200, 64)


@pytest.fixture
def crowd(db: Database, add_images: AddImages, rows: Float32Array) -> Database:
    """Return a database of 200 images in clusters."""
    add_images(db.connection, rows)
    return db


@pytest.fixture
def by_products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compare by products, 16 contents at a time; return how many were compared each time."""
    compared: list[int] = []
    near = pairing.Loaded.near

    def counted(self: pairing.Loaded, contents: list[bytes], distance: float) -> Any:
        compared.append(len(contents))
        return near(self, contents, distance)

    monkeypatch.setattr(pairing, "LEAST_DUE", 1)
    monkeypatch.setattr(pairing, "BY_PRODUCTS", 16)
    monkeypatch.setattr(pairing.Loaded, "near", counted)
    return compared


def pairs(db: Database) -> list[Any]:
    return db.connection.execute(PAIRS).fetchall()


def by_index(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the pairs that the other way finds from nothing."""
    monkeypatch.setattr(pairing, "LEAST_DUE", 10**6)
    db.connection.execute("DELETE FROM spocdb.duplicate_searches")
    db.duplicates.find(distance=DISTANCE)
    return pairs(db)


def test_crowded_contents_have_the_same_pairs_either_way(
    crowd: Database,
    add_images: AddImages,
    rows: Float32Array,
    by_products: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some have more than 27 neighbours, and are neighbours of others that have fewer."""
    monkeypatch.setattr(pairing, "MOST_NEIGHBOURS", 27)
    crowd.duplicates.find(distance=DISTANCE)
    found = pairs(crowd)
    said = [record.getMessage() for record in caplog.records if "only the nearest" in record.msg]
    assert len(said) == 1 and len(by_products) == 13
    assert found == by_index(crowd, monkeypatch)
    monkeypatch.setattr(pairing, "MOST_NEIGHBOURS", 1000)
    assert len(by_index(crowd, monkeypatch)) > len(found) > 100


def test_what_changes_meanwhile_is_compared_with_what_was_before(
    crowd: Database,
    add_images: AddImages,
    rows: Float32Array,
    by_products: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Contents go and come back, and others come, before and after they were compared."""
    hashes = "SELECT sha256 FROM spocdb.images ORDER BY sha256"
    order = [sha256 for (sha256,) in crowd.connection.execute(hashes).fetchall()]
    place = {add: [*range(begin, 200, 8)] for add, begin in (("gone", 0), ("back", 5))}

    def change(done: int, due: int) -> None:
        if len(by_products) == 3:
            touched = [order[at] for at in [*place["gone"], *place["back"]]]
            crowd.connection.execute("DELETE FROM spocdb.images WHERE sha256 = ANY (%s)", [touched])
            near = rows[:40] + 1e-3
            add_images(crowd.connection, near.astype(np.float16).astype(np.float32), first=1000)
        if len(by_products) == 9:
            add_images(crowd.connection, rows, first=2000)

    crowd.duplicates.find(distance=DISTANCE, on_done=change)
    assert sum(by_products) > 240
    found = pairs(crowd)
    assert found == by_index(crowd, monkeypatch) and len(found) > 500


@pytest.mark.slow
@pytest.mark.parametrize("other", [DISTANCE, 0.2, 0.4])
def test_two_finds_in_turns_miss_nothing(
    crowd: Database, by_products: list[int], monkeypatch: pytest.MonkeyPatch, other: float
) -> None:
    """The other one compares some batches of this one's, or asks for another distance."""
    began: list[int] = []

    def interrupt(done: int, due: int) -> None:
        if len(by_products) == 5:
            raise KeyboardInterrupt

    def meanwhile(done: int, due: int) -> None:
        if not began and len(by_products) == 3:
            began.append(1)
            with pytest.raises(KeyboardInterrupt):
                crowd.duplicates.find(distance=other, on_done=interrupt)

    crowd.duplicates.find(distance=DISTANCE, on_done=meanwhile)
    found = pairs(crowd)
    monkeypatch.setattr("tests.integration.test_duplicates_products.DISTANCE", other)
    assert began and found == by_index(crowd, monkeypatch) and len(found) > 50


@pytest.mark.slow
def test_interrupted_it_goes_on_and_misses_nothing(
    crowd: Database, by_products: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, due: int) -> None:
        if done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crowd.duplicates.find(distance=DISTANCE, on_done=interrupt)
    crowd.duplicates.find()
    assert sum(by_products) == 200
    assert pairs(crowd) == by_index(crowd, monkeypatch)


def test_new_images_are_compared_with_old_ones(
    crowd: Database,
    add_images: AddImages,
    clustered: Callable[..., Float32Array],
    by_products: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd.duplicates.find(distance=DISTANCE)
    before = len(pairs(crowd))
    add_images(crowd.connection, clustered(250, 64)[150:], first=1000)
    del by_products[:]
    crowd.duplicates.find()
    found = pairs(crowd)
    assert 0 < sum(by_products) < 200 and len(found) > before
    assert found == by_index(crowd, monkeypatch)


def test_grouping_tells_how_far_it_is(crowd: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spocdb.grouping.STEP", 25)
    told: list[tuple[int, int]] = []
    crowd.duplicates.find(distance=DISTANCE, on_grouped=lambda *counts: told.append(counts))
    n_near = crowd.connection.execute(
        "SELECT count(DISTINCT one) FROM spocdb.duplicate_edges"
    ).fetchone()
    assert [done for done, _ in told][:3] == [25, 50, 75] and told[0][1] == (n_near or [0])[0]
    assert told[-1][0] == told[-1][1] and len(told) > 4


def test_what_does_not_fit_in_memory_is_compared_by_the_index(
    crowd: Database,
    by_products: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pairing, "memory", lambda: 8 * 200 * 32)
    crowd.duplicates.find(distance=DISTANCE)
    assert "run `db.index.build(collection='photos')` first" in caplog.text and not by_products
    crowd.index.build()
    caplog.clear()
    crowd.duplicates.find(again=True)
    assert not caplog.text and not by_products
