"""Filtered search with spocdb.search(), where one row in a hundred, ten, or two matches."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pgvector import Vector
from psycopg.types.json import Jsonb

from benchmarks.database import gallery, timing
from benchmarks.database.gallery import Gallery
from benchmarks.record import Figure
from spocdb.db.connections import Connection

N_QUERIES = 200

MARK = """
UPDATE spocdb.images SET metadata = jsonb_build_object(
    'every100', id %% 100 = 0, 'every10', id %% 10 = 0, 'every2', id %% 2 = 0, 'n', id)
WHERE collection_id = %s AND metadata = '{}'
"""

SEARCH = "SELECT id, method FROM spocdb.search(%s, %s, filter => %s)"


def run(target: Gallery) -> list[Figure]:
    """Measure recall and latency at 1 %, 10 % and 50 % matching rows."""
    target.connection.execute(MARK, [target.collection.id])
    target.connection.execute("VACUUM (ANALYZE) spocdb.images")
    return [figure for every in (100, 10, 2) for figure in _at(target, every)]


def _at(target: Gallery, every: int) -> Iterator[Figure]:
    queries = target.queries[:N_QUERIES]
    with target.db.engine.connect() as connection:
        ask = partial(_search, connection, target.collection.name, every)
        ways = {"search": timing.Way(connection, ask)}
        taken = timing.take_turns(ways, [Vector(query) for query in queries])["search"]
    recall = gallery.recall(taken.rows, gallery.truth(target, queries, every=every))
    name = f"filter that {100 // every} % match"
    yield Figure(f"{name}, recall@10", recall, "")
    yield from timing.figures(name, taken)
    methods = [row[1] for rows in taken.rows for row in rows]
    part = methods.count("exact") / len(methods)
    yield Figure(f"{name}, by an exact scan", 100 * part, "%")


def _search(connection: Connection, name: str, every: int, query: Vector) -> list[Any]:
    return connection.execute(SEARCH, [name, query, Jsonb({f"every{every}": True})]).fetchall()
