"""What a worker writes is looked up key by key, in a queue that has no statistics yet."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from spocdb.db import outcomes
from tests.fixtures.opened import Database

FILL = """
INSERT INTO spocdb.queue (collection_id, key, enqueued_at, lease)
SELECT 1, lpad(g::text, 6, '0'), now(), %s FROM generate_series(1, 10000) g
"""
N_KEYS = 64


@pytest.mark.parametrize("statement", [outcomes.HELD, outcomes.PUT_BACK])
def test_keys_are_looked_up_without_reading_the_queue(
    db: Database,
    add_images: Callable[..., object],
    clustered: Callable[..., object],
    statement: str,
) -> None:
    if db.connection.info.server_version < 170_000:
        pytest.skip("without statistics, servers before 17 read the collection's part of the queue")
    add_images(db.connection, clustered(4), "many")
    lease = uuid4()
    db.connection.execute(FILL, [lease])
    values: Mapping[str, Any] = {
        "collection": 1,
        "keys": [f"{number:06d}" for number in range(1, N_KEYS + 1)],
        "leases": N_KEYS * [lease],
        "seconds": N_KEYS * [1.0],
        "failed": N_KEYS * [True],
        "rejected": N_KEYS * [None],
    }
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    ((plan,),) = db.connection.execute(explain, values).fetchall()
    assert max(_rows(plan[0]["Plan"])) <= 2 * N_KEYS


def _rows(node: Mapping[str, Any]) -> list[float]:
    """Return how many rows each node of a plan gives, and removes by its filter."""
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return [own, *(n for below in node.get("Plans", []) for n in _rows(below))]
