"""Searches beside a content that thousands of images have: the index leads in, and not out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spocdb.records import Float32Array
from tests.fixtures.opened import Database

pytestmark = pytest.mark.servers

AddImages = Callable[..., Any]
Clustered = Callable[..., Float32Array]

# Each of the first 300 images searches; the largest distance of its results, by index and exactly.
FARTHEST = """
SELECT i.id,
       (SELECT max(s.distance) FROM spocdb.search('photos', e.embedding, {k}) s),
       (SELECT max(s.distance) FROM spocdb.search('photos', e.embedding, {k}, exact => true) s)
FROM spocdb.images i CROSS JOIN LATERAL (SELECT spocdb.embedding('photos', i.id) AS embedding) e
WHERE i.path < '/photos/000300' ORDER BY i.id
"""
METHOD = "SELECT DISTINCT method FROM spocdb.similar('photos', %s, %s, exact => %s)"


@pytest.fixture
def crowded(db: Database, add_images: AddImages, clustered: Clustered) -> Callable[[int], None]:
    """Return a function that stores 300 images, and one of them so many times more."""

    def make(n_copies: int) -> None:
        rows = clustered(300, 64)
        add_images(db.connection, np.concatenate([rows, np.repeat(rows[5:6], n_copies, axis=0)]))
        db.index.build()

    return make


@pytest.mark.parametrize("k", [1, 8, 50])
def test_what_is_beside_a_thousand_copies_is_found(
    db: Database, crowded: Callable[[int], None], k: int
) -> None:
    crowded(1000)
    rows = db.connection.execute(FARTHEST.format(k=k)).fetchall()
    assert len(rows) == 300
    assert [id for id, found, exact in rows if found > exact + 1e-6] == []


def test_few_copies_need_no_exact_scan(db: Database, crowded: Callable[[int], None]) -> None:
    crowded(200)
    (copied,) = (
        db.connection.execute(
            "SELECT id FROM spocdb.images WHERE path = '/photos/000005.jpg'"
        ).fetchone()
        or ()
    )
    assert db.connection.execute(METHOD, [copied, 10, False]).fetchall() == [("hnsw",)]
