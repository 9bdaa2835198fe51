"""Kinds of index: vector, halfvec, and bits with re-ranking.

The vector index is spocdb's own; `spocdb index build --kind` would replace it. So here
hand-written SQL creates the halfvec and bit indexes on the same table, and queries all three.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from pgvector import Vector
from psycopg.sql import SQL, Identifier, Literal

from benchmarks.database import gallery, timing
from benchmarks.database.gallery import DIM, Gallery, K
from benchmarks.database.growth import peak_of_shared_memory
from benchmarks.record import Figure
from spocdb.db import building, sessions
from spocdb.db.connections import Connection, one_row

BUILD = """
CREATE INDEX {name} ON spocdb.{table} USING hnsw ({expression})
WITH (m = {m}, ef_construction = {ef})
"""
EXPRESSIONS = {
    "halfvec": f"(embedding::halfvec({DIM})) halfvec_ip_ops",
    "bit": f"(binary_quantize(embedding)::bit({DIM})) bit_hamming_ops",
}

RESULT = """
SELECT i.id, i.path, 1 + e.distance, i.metadata
FROM ({nearest}) e JOIN spocdb.images i ON i.id = e.image_id ORDER BY e.distance
"""
NEAREST = {
    "vector": (
        "SELECT image_id, embedding <#> %s AS distance FROM spocdb.{table} "
        "ORDER BY embedding <#> %s LIMIT {k}"
    ),
    "halfvec": (
        f"SELECT image_id, embedding <#> %s AS distance FROM spocdb.{{table}} "
        f"ORDER BY embedding::halfvec({DIM}) <#> %s::halfvec({DIM}) LIMIT {{k}}"
    ),
    # The ef_search nearest by bits, sorted by their vectors.
    "bit": (
        "SELECT image_id, embedding <#> %s AS distance FROM ("
        "    SELECT image_id, embedding FROM spocdb.{table} "
        f"   ORDER BY binary_quantize(embedding)::bit({DIM}) <~> binary_quantize(%s)::bit({DIM}) "
        "    LIMIT {ef}) candidates "
        "ORDER BY distance LIMIT {k}"
    ),
}
EF_SEARCH = {"vector": (40, 100, 200), "halfvec": (40, 100, 200), "bit": (100, 400, 1000)}


def run(target: Gallery) -> list[Figure]:
    """Build the halfvec and bit indexes, then run the same queries on all."""
    return [*_builds(target), *_searches(target)]


def _builds(target: Gallery) -> Iterator[Figure]:
    connection = target.connection
    # Memory for the graph of vectors is enough for the others.
    memory = building.plan(connection, [target.table], DIM, "hnsw-vector").memory
    with sessions.raised(connection, maintenance_work_mem=memory):
        yield from _timed_builds(target)


def _timed_builds(target: Gallery) -> Iterator[Figure]:
    connection = target.connection
    for kind, expression in EXPRESSIONS.items():
        name = f"{target.table}_{kind}"
        connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(Identifier(name)))
        statement = SQL(BUILD).format(
            name=Identifier(name),
            table=Identifier(target.table),
            expression=SQL(expression),
            m=Literal(building.M),
            ef=Literal(building.EF_CONSTRUCTION),
        )
        with peak_of_shared_memory() as peak:
            began = time.perf_counter()
            connection.execute(statement)
            seconds = time.perf_counter() - began
        (memory,) = one_row(connection, "SHOW maintenance_work_mem")
        yield Figure(f"{kind}, index build", seconds, "s", note=f"maintenance_work_mem {memory}")
        yield Figure(f"{kind}, build memory", max(peak) / 1e6, "MB", note="shared, at its peak")
        n_bytes = gallery.bytes_of(target, f"spocdb.{name}")
        yield Figure(f"{kind}, bytes of index", n_bytes / target.count(), "B/image")


def _searches(target: Gallery) -> Iterator[Figure]:
    with ExitStack() as stack:
        ways = {
            f"{kind}, ef_search {ef}": _ask(
                stack.enter_context(target.db.engine.connect()), target.table, kind, ef
            )
            for kind, values in EF_SEARCH.items()
            for ef in values
        }
        taken = timing.take_turns(ways, [Vector(query) for query in target.queries])
    wanted = gallery.truth(target, target.queries)
    for name in ways:
        recall = gallery.recall(taken[name].rows, wanted)
        yield Figure(f"{name}, recall@10", recall, "")
        yield from timing.figures(name, taken[name])


def _ask(connection: Connection, table: str, kind: str, ef_search: int) -> timing.Way:
    connection.execute(SQL("SET hnsw.ef_search = {}").format(Literal(ef_search)))
    nearest = SQL(NEAREST[kind]).format(
        table=Identifier(table), k=Literal(K), ef=Literal(ef_search)
    )
    return timing.way(connection, SQL(RESULT).format(nearest=nearest), 2)
