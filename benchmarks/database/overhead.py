"""Overhead: spocdb's view, SQL functions and Python API compared with hand-written SQL."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from pgvector import Vector
from psycopg.sql import SQL, Identifier, Literal

from benchmarks.database import timing
from benchmarks.database.gallery import DIM, Gallery, K
from benchmarks.record import Figure
from spocdb.db.connections import Connection

BY_HAND = """
SELECT i.id, i.path, 1 + (e.embedding <#> %s), i.metadata
FROM spocdb.{table} e JOIN spocdb.images i ON i.id = e.image_id
ORDER BY e.embedding <#> %s LIMIT {k}
"""
VIEW = """
SELECT id, path, 1 + (embedding <#> %s), metadata
FROM spocdb.{view} ORDER BY embedding <#> %s LIMIT {k}
"""
SEARCH = "SELECT * FROM spocdb.search({name}, %s, {k})"

BY_HAND_BY_ID = """
SELECT i.id, i.path, 1 + (e.embedding <#> q.embedding), i.metadata
FROM (SELECT embedding FROM spocdb.{table} WHERE image_id = %s) q,
LATERAL (SELECT image_id, embedding FROM spocdb.{table}
         ORDER BY embedding <#> q.embedding LIMIT {k} + 1) e
JOIN spocdb.images i ON i.id = e.image_id
"""
SIMILAR = "SELECT * FROM spocdb.similar({name}, %s, {k})"


def run(target: Gallery) -> list[Figure]:
    """Measure searches with an embedding, and with the id of an image."""
    names = {
        "table": Identifier(target.table),
        "view": Identifier(target.collection.name),
        "name": Literal(target.collection.name),
        "k": Literal(K),
    }

    with ExitStack() as stack:

        def ask(statement: str, n_times: int = 1) -> timing.Way:
            connection = stack.enter_context(target.db.engine.connect())
            # As spocdb's own functions set it.
            connection.execute("SET hnsw.ef_search = 100")
            return timing.way(connection, SQL(statement).format(**names), n_times)

        by_query = {
            "hand-written SQL": ask(BY_HAND, 2),
            "our view": ask(VIEW, 2),
            "search()": ask(SEARCH),
        }
        by_id = {
            "hand-written SQL by id": ask(BY_HAND_BY_ID),
            "similar()": ask(SIMILAR),
            "similar in Python": timing.Way(_pooled(target), partial(_similar, target)),
        }
        queries = [Vector(query) for query in target.queries]
        size = f"{target.n_rows:,} x {DIM}"
        return [*_compare(by_query, queries, size), *_compare(by_id, _ids(target), size)]


def _compare(ways: dict[str, timing.Way], asked: Sequence[Any], size: str) -> Iterator[Figure]:
    taken = timing.take_turns(ways, asked)
    peer, *ours = ways
    for name in ours:
        for own, by_hand in zip(
            timing.figures(name, taken[name]), timing.figures(peer, taken[peer]), strict=True
        ):
            yield replace(own, peer=by_hand.value, peer_name=peer, note=size)


def _similar(target: Gallery, id_: int) -> timing.Rows:
    return [(hit.id,) for hit in target.db.similar(id_, K, collection=target.collection.name)]


def _pooled(target: Gallery) -> Connection:
    """Return the pool's only idle connection, which `similar` will use."""
    with target.db.engine.connection() as connection:
        return connection


def _ids(target: Gallery) -> list[int]:
    rows = target.connection.execute(
        "SELECT id FROM spocdb.images WHERE collection_id = %s ORDER BY sha256 LIMIT 1000",
        [target.collection.id],
    )
    return [row[0] for row in rows]
