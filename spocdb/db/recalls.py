"""The recall of an index by ef_search, measured against exact scans: how wide a search has to be.

Queries are midpoints of an image and its nearest one. The images themselves would flatter the
index, which leads to each of them. Stored is the mean recall less its standard error, so that a
wanted recall holds for other queries too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.sql import SQL, Composed, Identifier, Literal

from spocdb.db import building, embeddings, kinds, search
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.embeddings import table_of
from spocdb.db.kinds import Kind
from spocdb.records import Float32Array

# Searches for up to these many images, at these widths. The narrowest ones are for tables in parts,
# each of which is scanned with the whole width.
KS = (10, 30, 100)
WIDTHS = (2, 4, 8, 16, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200, 300, 400, 600, 1000)
N_QUERIES = 100
# No wider scan is measured after one that finds this part of all.
ENOUGH = 0.999
# Below this number of images searches are quick at any width, and measuring would take longer than
# the index.
FEWEST = 10_000
# Measured again after a growth by a quarter.
GROWTH = 1.25

# One statement for all queries, because a statement costs as much as a scan. The distances of each
# are in the order of the index.
BY_INDEX = """
SELECT ARRAY(
    SELECT 1 + n.x FROM (
        SELECT {compared} AS d, {exactly} AS x FROM spocdb.{table} e ORDER BY d LIMIT {n}) n
    ORDER BY n.d)
FROM unnest(%(queries)s::text[]::vector[]) WITH ORDINALITY AS q (query, n) ORDER BY q.n
"""

EXACTLY = """
SELECT distance FROM spocdb.search(%s, %s, %s, exact => true, projection => %s) ORDER BY distance
"""

SETTINGS = {"hnsw.iterative_scan": "off", "enable_seqscan": "off", "jit": "off"}

FORGET = """
WITH forgotten AS (
    DELETE FROM spocdb.recalls
    WHERE collection_id = %(collection)s AND projection_id = %(projection)s)
UPDATE spocdb.embedding_tables SET recall = NULL, recall_settings = NULL
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

ADD = """
INSERT INTO spocdb.recalls (collection_id, projection_id, k, ef_search, recall)
VALUES (%s, %s, %s, %s, %s)
"""

# What a search for ten images does.
SUMMARISE = """
UPDATE spocdb.embedding_tables t
SET recall = r.recall,
    recall_settings = jsonb_build_object('k', r.k, 'ef_search', r.ef_search,
                                         'queries', %(queries)s::integer, 'rows', %(rows)s::bigint)
FROM spocdb.recalls r
WHERE t.collection_id = %(collection)s AND t.projection_id = %(projection)s
  AND r.collection_id = t.collection_id AND r.projection_id = t.projection_id AND r.k = %(k)s
  AND r.ef_search = spocdb.ef_search(t.collection_id, t.projection_id, %(k)s)
RETURNING t.recall
"""

IS_DUE = """
SELECT e.n >= %(fewest)s
   AND e.n >= %(growth)s * coalesce((t.recall_settings ->> 'rows')::bigint, 0)
FROM spocdb.embedding_tables t
CROSS JOIN spocdb.estimated_rows(spocdb.embedding_table(t.collection_id, t.projection_id)) e (n)
WHERE t.collection_id = %(collection)s AND t.projection_id = %(projection)s
"""

SET_WANTED = "UPDATE spocdb.collections SET recall = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured by `n_queries` queries: for each k, the recall by each width."""

    n_queries: int
    recalls: list[tuple[int, int, float]]

    @property
    def best(self) -> float:
        """Return the recall@10 of the widest scans."""
        return max(recall for k, _, recall in self.recalls if k == KS[0])


def measure(connection: Connection, collection: Collection, projection_id: int) -> float | None:
    """Measure an index against exact scans and store its recalls; searches use them from then on.

    Returns the recall@10 of a search for ten, 0 to 1; None for fewer than two images.
    """
    kind, _ = kinds.stored(connection, collection, projection_id)
    found = curve(connection, collection, projection_id, kind or "hnsw-vector")
    if found is None:
        return None
    with connection.transaction():
        return store(connection, collection, projection_id, found)


def curve(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind
) -> Curve | None:
    """Measure the index of a kind that an embedding table has; None for fewer than two images."""
    queries = _queries(connection, collection, projection_id)
    if not queries:
        return None
    truth = [_exactly(connection, collection, projection_id, query) for query in queries]
    rows = [
        (k, width, recall)
        for width, found in _by_index(connection, collection, projection_id, kind, queries, truth)
        for k, recall in found.items()
    ]
    return Curve(len(queries), rows)


def store(
    connection: Connection, collection: Collection, projection_id: int, found: Curve
) -> float:
    """Store what was measured; return the recall@10 of a search for ten. In a transaction."""
    values = {
        "collection": collection.id,
        "projection": projection_id,
        "queries": found.n_queries,
        "rows": embeddings.count(connection, collection, projection_id),
        "k": KS[0],
    }
    connection.execute(FORGET, values)
    with connection.cursor() as cursor:
        cursor.executemany(ADD, [(collection.id, projection_id, *row) for row in found.recalls])
    return float(one_row(connection, SUMMARISE, values)[0])


def forget(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Forget what was measured of an index, because another one takes its place."""
    connection.execute(FORGET, {"collection": collection.id, "projection": projection_id})


def is_due(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether a large index was never measured, or has grown by a quarter since."""
    values = {"collection": collection.id, "projection": projection_id}
    return bool(one_row(connection, IS_DUE, values | {"fewest": FEWEST, "growth": GROWTH})[0])


def want(connection: Connection, collection: Collection, recall: float) -> None:
    """Set the recall that the searches of a collection shall have."""
    connection.execute(SET_WANTED, [recall, collection.id])


def wanted(connection: Connection, collection: Collection) -> float:
    """Return the recall that the searches of a collection shall have."""
    statement = "SELECT recall FROM spocdb.collections WHERE id = %s"
    return float(one_row(connection, statement, [collection.id])[0])


def _queries(
    connection: Connection, collection: Collection, projection_id: int
) -> list[Float32Array]:
    queries = []
    for id_ in kinds.sample(connection, collection, projection_id, N_QUERIES):
        near = search.similar(
            connection, collection.name, id_, 1, {}, exact=False, projection=projection_id
        )
        ids = [id_, *(hit.id for hit in near)]
        sides = search.embeddings(connection, collection.name, ids, projection_id)
        if len(sides) == 2 and (middle := sides.sum(axis=0)).any():
            queries.append(middle / np.linalg.norm(middle))
    return queries


def _exactly(
    connection: Connection, collection: Collection, projection_id: int, query: Float32Array
) -> NDArray[np.float64]:
    values = [collection.name, Vector(query), KS[-1], projection_id]
    return np.array([distance for (distance,) in connection.execute(EXACTLY, values)])


def _by_index(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    kind: Kind,
    queries: list[Float32Array],
    truth: list[NDArray[np.float64]],
) -> Iterator[tuple[int, dict[int, float]]]:
    """Yield each width with the recall of each k that it can hold, until more finds no more."""
    asked = {"queries": [Vector(query).to_text() for query in queries]}
    table, _ = table_of(connection, collection, projection_id)
    n_parts = len(building.parts_of(connection, table))
    for width in WIDTHS:
        taken = _taken(connection, kind, width, n_parts)
        if not taken:
            continue
        statement = _nearest(connection, collection, projection_id, kind, max(taken.values()))
        with connection.transaction():
            for name, value in {**kinds.settings(kind, width), **SETTINGS}.items():
                connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            found = [np.array(near) for (near,) in connection.execute(statement, asked)]
        recalls = {
            k: _recall([np.sort(near[:n]) for near in found], truth, k) for k, n in taken.items()
        }
        yield width, recalls
        if len(taken) == len(KS) and min(recalls.values()) >= ENOUGH:
            return


def _taken(connection: Connection, kind: Kind, width: int, n_parts: int) -> dict[int, int]:
    """Return for each k that scans of a width can find how many images a search takes of them."""
    ks = [k for k in KS if k <= width * n_parts]
    rows = connection.execute(
        "SELECT k, spocdb.candidates(%s, k, %s) FROM unnest(%s::integer[]) k", [kind, width, ks]
    )
    return dict(rows.fetchall())


def _nearest(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind, n: int
) -> Composed:
    table, column = table_of(connection, collection, projection_id)
    return SQL(BY_INDEX).format(
        compared=kinds.by_index(connection, kind, kinds.dim_of(column), "q.query"),
        exactly=SQL(kinds.exactly(column, "q.query")),
        table=Identifier(table),
        n=Literal(n),
    )


def _recall(found: list[NDArray[np.float64]], truth: list[NDArray[np.float64]], k: int) -> float:
    """Return the mean recall@k less its standard error, at least 0."""
    each = np.array(
        [
            (near[:k] <= wanted[:k][-1] + kinds.TIE).sum() / len(wanted[:k])
            for near, wanted in zip(found, truth, strict=True)
        ]
    )
    return float(max(each.mean() - each.std() / np.sqrt(len(each)), 0))
