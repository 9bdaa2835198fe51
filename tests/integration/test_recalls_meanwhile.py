"""Measuring an index while images come and go, and while another index takes its place."""

from collections.abc import Callable
from typing import Any

import pytest

from spocdb.db import curves, indexes, kinds, recalls
from spocdb.db.collections import Collection
from spocdb.errors import DatabaseError
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
DELETE = "DELETE FROM spocdb.images WHERE id = ANY(%s)"


@pytest.fixture
def few(db: Database, add_images: AddImages, clustered: Clustered) -> Collection:
    """Return a collection of fewer images than are compared of the widest search."""
    target = add_images(db.connection, clustered(40))
    indexes.build(db.connection, target, 1, "hnsw-halfvec")
    return target


def then(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, action: Callable[[Any], object]
) -> None:
    """Let others do something, once, after a step of the measurement has read what it reads."""
    step, due = getattr(owner, name), [action]

    def read(*values: Any) -> Any:
        found = step(*values)
        if due:
            due.pop()(found)
        return found

    monkeypatch.setattr(owner, name, read)


def test_an_image_that_is_deleted_meanwhile_is_no_error(
    db: Database, few: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    then(monkeypatch, kinds, "sample", lambda _: db.connection.execute(DELETE, [[*range(1, 21)]]))
    assert recalls.measure(db.connection, few, 1) == 1
    # The choice of the first kind reads such a sample, too.
    then(monkeypatch, kinds, "sample", lambda _: db.connection.execute(DELETE, [[*range(21, 31)]]))
    assert kinds.lost(db.connection, few, 1, "hnsw-halfvec") <= kinds.MOST_LOST


def leave_none(db: Database) -> Callable[[Any], object]:
    return lambda _: db.connection.execute("DELETE FROM spocdb.images")


def test_without_any_image_left_nothing_is_measured(
    db: Database, few: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    then(monkeypatch, curves._Index, "queries", leave_none(db))
    assert recalls.measure(db.connection, few, 1) is None


def test_without_any_image_left_none_is_lost(
    db: Database, few: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    then(monkeypatch, kinds, "sample", leave_none(db))
    assert kinds.lost(db.connection, few, 1, "hnsw-halfvec") == 0


def test_no_recall_is_more_than_all_where_images_come_meanwhile(
    db: Database,
    few: Collection,
    add_images: AddImages,
    clustered: Clustered,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add(_: Any) -> None:
        add_images(db.connection, clustered(200, seed=1), first=40)

    then(monkeypatch, curves._Index, "_nearest", add)
    recall = recalls.measure(db.connection, few, 1)
    assert recall is not None and 0.9 < recall <= 1
    found = db.connection.execute("SELECT max(recall) FROM spocdb.recalls").fetchone()
    assert found is not None and found[0] <= 1


def test_what_was_measured_of_another_index_is_not_stored(
    db: Database, few: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls.want(db.connection, few, 0.01)

    def replace(_: Any) -> None:
        indexes.build(db.connection, few, 1, "hnsw-bit")

    then(monkeypatch, curves._Index, "_nearest", replace)
    recalls.measure(db.connection, few, 1)
    stored = "SELECT k, ef_search, recall FROM spocdb.recalls ORDER BY 1, 2"
    rows = db.connection.execute(stored).fetchall()
    recalls.measure(db.connection, few, 1)
    assert rows == db.connection.execute(stored).fetchall()


def test_a_collection_that_is_dropped_meanwhile_is_an_error_of_one_line(
    db: Database, few: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    then(monkeypatch, curves, "curve", lambda _: db.drop("photos"))
    with pytest.raises(DatabaseError, match=r"photos by projection 1 were dropped meanwhile: see"):
        recalls.measure(db.connection, few, 1)
