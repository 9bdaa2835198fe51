"""Pairs are the same by the index and by products, and groups whatever the steps."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from spocdb import grouping, pairing
from spocdb.errors import InvalidValue
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

pytestmark = pytest.mark.servers

AddImages = Callable[..., Any]
MEMBERS = "SELECT image_id, keeper_id, distance FROM spocdb.duplicate_members ORDER BY 1"
PAIRS = "SELECT a, b, distance FROM spocdb.duplicate_pairs ORDER BY 1, 2"
DISTANCE = 0.3


@pytest.fixture
def crowd(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]
) -> Iterator[Database]:
    """Return 200 images in clusters: some of the same bytes, some with equal descriptors."""
    rows = clustered(150, 64)
    add_images(db.connection, np.concatenate([rows, rows[:30], rows[:15]]))
    # The same vectors under other hashes: ties.
    add_images(db.connection, (rows[30:35] * 0.5).astype(np.float16).astype(np.float32), first=900)
    yield db


def found(db: Database) -> tuple[list[Any], list[Any]]:
    """Return the pairs and the groups that are found from the beginning."""
    db.connection.execute("DELETE FROM spocdb.duplicate_searches")
    db.duplicates.find(distance=DISTANCE)
    return db.connection.execute(PAIRS).fetchall(), db.connection.execute(MEMBERS).fetchall()


def test_both_ways_find_the_same(crowd: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    by_index = found(crowd)
    loads: list[int] = []
    init = pairing.Loaded.__init__

    def load(self: pairing.Loaded, *given: Any) -> None:
        loads.append(1)
        init(self, *given)

    monkeypatch.setattr(pairing.Loaded, "__init__", load)
    monkeypatch.setattr(pairing, "LEAST_DUE", 1)
    monkeypatch.setattr(pairing, "BY_PRODUCTS", 32)
    assert found(crowd) == by_index and loads == [1]
    assert len(by_index[0]) > 150 and len(by_index[1]) > 50
    # With an index, too, whose recall is 1 here.
    crowd.index.build()
    assert found(crowd) == by_index and loads == [1, 1]
    monkeypatch.setattr(pairing, "LEAST_DUE", 10_000)
    assert found(crowd) == by_index and loads == [1, 1]


def test_a_distance_that_joins_everything_is_refused_by_products(
    crowd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "MOST_NEIGHBOURS", 2)
    monkeypatch.setattr(pairing, "LEAST_DUE", 1)
    with pytest.raises(InvalidValue, match="distance must be smaller: half of the images"):
        found(crowd)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_steps_group_as_all_at_once(
    crowd: Database, add_images: AddImages, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Images come and go, and are decided about, in steps of five contents."""
    rng = random.Random(seed)
    monkeypatch.setattr(grouping, "STEP", 5)
    crowd.duplicates.find(distance=DISTANCE)
    ids = [id for (id,) in crowd.connection.execute("SELECT id FROM spocdb.images ORDER BY id")]
    for _ in range(4):
        pairs = crowd.connection.execute(
            "SELECT min(i.id), min(j.id) FROM spocdb.duplicate_pairs p "
            "JOIN spocdb.images i ON i.sha256 = p.a JOIN spocdb.images j ON j.sha256 = p.b "
            "GROUP BY p.a, p.b ORDER BY 1, 2"
        ).fetchall()
        for one, other in rng.sample(pairs, 6):
            crowd.duplicates.decide(one, other, rng.choice(["same", "different", "keep both"]))
        gone = rng.sample(ids, 15)
        ids = [id for id in ids if id not in gone]
        crowd.connection.execute("DELETE FROM spocdb.images WHERE id = ANY (%s)", [gone])
        crowd.duplicates.find()
        for decision in rng.sample(crowd.duplicates.decisions(), 2):
            both = crowd.connection.execute(
                "SELECT min(id) FROM spocdb.images WHERE sha256 = ANY (%s) GROUP BY sha256",
                [[bytes.fromhex(decision.a), bytes.fromhex(decision.b)]],
            ).fetchall()
            if len(both) == 2:
                crowd.duplicates.decide(both[0][0], both[1][0], None)
    crowd.duplicates.find()
    assert crowd.duplicates.summary().n_due == 0
    after = crowd.connection.execute(MEMBERS).fetchall()
    monkeypatch.setattr(grouping, "STEP", 1000)
    assert after == found(crowd)[1] != []


def test_another_rule_groups_without_comparing(
    crowd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.connection.execute("UPDATE spocdb.images SET size = id")
    pairs, _ = found(crowd)
    crowd.connection.execute("DELETE FROM spocdb.duplicate_searches")
    crowd.duplicates.find(distance=DISTANCE, keep="-bytes")
    wanted = crowd.connection.execute(MEMBERS).fetchall()
    found(crowd)
    monkeypatch.setattr(pairing.Neighbours, "compare", lambda *_, **__: pytest.fail("compared"))
    crowd.duplicates.find(keep="-bytes")
    assert crowd.connection.execute(MEMBERS).fetchall() == wanted
    assert crowd.connection.execute(PAIRS).fetchall() == pairs


def test_what_is_beside_hundreds_of_copies_is_found(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]
) -> None:
    rows = clustered(300, 64)
    add_images(db.connection, np.concatenate([rows, np.repeat(rows[5:6], 1000, axis=0)]))
    exactly = found(db)
    db.index.build()
    assert found(db) == exactly and len(exactly[0]) > 200


def test_grouping_tells_no_comparison_again(
    crowd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "BY_INDEX", 50)
    told: list[tuple[int, int]] = []
    crowd.duplicates.find(distance=DISTANCE, on_done=lambda *counts: told.append(counts))
    assert len(told) > 1 and len({*told}) == len(told)
