"""The recall of an index by the width of its scans, measured beside exact distances.

Queries are midpoints of an image and its nearest one. The images themselves would flatter the
index, which leads to each of them. Nor is the nearest one asked of the index: where it misses, the
midpoint would lie between images that do not belong together. A measured recall is the mean less
its standard error, so that a wanted recall holds for other queries too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.sql import SQL, Composed, Identifier, Literal

from spocdb.db import building, embeddings, kinds
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.copy import copy_out
from spocdb.db.embeddings import table_of
from spocdb.db.kinds import Kind
from spocdb.records import Float32Array

# Searches for up to these many images, at these widths. The narrowest ones are for tables in parts,
# each of which is scanned with the whole width.
KS = (10, 30, 100)
WIDTHS = (2, 4, 8, 16, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200, 300, 400, 600, 1000)
# A query for each hundred images, within these bounds. In a large index one in a hundred finds none
# of its nearest images before the scan is much wider, which a hundred queries do not show.
FEWEST, MOST, IMAGES_A_QUERY = 100, 1000, 100
# No wider scan is measured after one that finds this part of all.
ENOUGH = 0.999
# Embeddings that are compared at once: 20 MB of distances.
CHUNK_ROWS = 5000

# One statement for all queries, because a statement costs as much as a scan. The distances of each
# are in the order of the index.
BY_INDEX = """
SELECT ARRAY(
    SELECT 1 + n.x FROM (
        SELECT {compared} AS d, {exactly} AS x FROM spocdb.{table} e ORDER BY d LIMIT {n}) n
    ORDER BY n.d)
FROM unnest(%(queries)s::text[]::vector[]) WITH ORDINALITY AS q (query, n) ORDER BY q.n
"""

EMBEDDINGS = "COPY (SELECT image_id, embedding FROM spocdb.{table}) TO STDOUT (FORMAT binary)"

SETTINGS = {"hnsw.iterative_scan": "off", "enable_seqscan": "off", "jit": "off"}


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured of `n_images` by `n_queries`: for each k, the recall by each width."""

    n_images: int
    n_queries: int
    recalls: list[tuple[int, int, float]]

    @property
    def best(self) -> float:
        """Return the recall@10 of the widest scans."""
        return max(recall for k, _, recall in self.recalls if k == KS[0])


def curve(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind
) -> Curve | None:
    """Measure the index of a kind that an embedding table has; None for fewer than two images."""
    n_images = embeddings.count(connection, collection, projection_id)
    n_queries = min(max(n_images // IMAGES_A_QUERY, FEWEST), MOST)
    index = _Index(connection, collection, projection_id, kind)
    queries = index.queries(n_queries)
    if not len(queries):
        return None
    rows = [(k, width, recall) for width, found in index.recalls(queries) for k, recall in found]
    return Curve(n_images, len(queries), rows) if rows else None


class _Index:
    """An index, its table, and queries beside the table's images."""

    def __init__(
        self, connection: Connection, collection: Collection, projection_id: int, kind: Kind
    ) -> None:
        self._connection, self._kind = connection, kind
        self._collection, self._projection_id = collection, projection_id
        self._table, self._column = table_of(connection, collection, projection_id)
        self._n_parts = len(building.parts_of(connection, self._table))

    def queries(self, n: int) -> Float32Array:
        """Return at most n midpoints (n, N), of length 1, of images and their nearest ones."""
        ids, sides = kinds.sample(self._connection, self._collection, self._projection_id, n)
        if len(ids) < 2:
            return np.empty((0, 0), np.float32)
        least, near = np.full(len(ids), np.inf), np.zeros_like(sides)
        for found, rows in self._embeddings():
            distances = 1 - sides @ rows.T
            distances[ids[:, None] == found] = np.inf
            first = distances.argmin(axis=1)
            distance = np.take_along_axis(distances, first[:, None], 1)[:, 0]
            closer = distance < least
            least[closer], near[closer] = distance[closer], rows[first[closer]]
        middles = (sides + near)[np.isfinite(least)]
        lengths = np.linalg.norm(middles, axis=1, keepdims=True)
        unit: Float32Array = (middles / np.where(lengths, lengths, 1))[lengths[:, 0] > 0]
        return unit

    def recalls(self, queries: Float32Array) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """Yield each width with the recall of each k that it can hold, until more finds no more."""
        nearest = self._nearest(queries)
        if not nearest.size:
            return  # all images were deleted meanwhile
        for width, parts in self._by_index(queries, nearest):
            recalls = [(k, _recall(part)) for k, part in parts.items()]
            yield width, recalls
            if len(parts) == len(KS) and min(recall for _, recall in recalls) >= ENOUGH:
                return

    def _nearest(self, queries: Float32Array) -> Float32Array:
        """Return the distances (n, K) of the images nearest to the queries, in one pass."""
        held = queries.astype(np.float16) if self._column.startswith("halfvec") else queries
        asked = held.astype(np.float32)
        best = np.empty((len(queries), 0), np.float32)
        for _, rows in self._embeddings():
            both = np.hstack([best, 1 - asked @ rows.T])
            k = min(KS[-1], both.shape[1])
            best = np.partition(both, k - 1)[:, :k]
        return np.sort(best)

    def _embeddings(self) -> Iterator[tuple[NDArray[np.int64], Float32Array]]:
        """Yield the ids (n,) and embeddings (n, N) of all images, in chunks."""
        statement = SQL(EMBEDDINGS).format(table=Identifier(self._table))
        layout = {"image_id": "bigint", "embedding": self._column}
        for rows in copy_out(self._connection, statement, layout, CHUNK_ROWS):
            yield rows["image_id"].astype(np.int64), rows["embedding"].astype(np.float32)

    def _by_index(
        self, queries: Float32Array, nearest: Float32Array
    ) -> Iterator[tuple[int, dict[int, NDArray[np.float64]]]]:
        """Yield each width with the parts of each k that it can hold.

        A query that found all k is not asked again, since a wider scan sees no less.
        """
        texts = [Vector(query).to_text() for query in queries]
        complete = {k: np.zeros(len(queries), bool) for k in KS}
        for width in WIDTHS:
            taken = self._taken(width)
            if not taken:
                continue
            parts = {k: np.ones(len(queries)) for k in taken}
            asked = np.flatnonzero(~np.logical_and.reduce([complete[k] for k in taken]))
            found = self._found(width, max(taken.values()), [texts[i] for i in asked])
            for i, near in zip(asked, found, strict=True):
                for k, n in taken.items():
                    wanted = nearest[i, :k]
                    # Of fewer than k images there may be more by now: they are not asked for.
                    same = np.sort(near[:n])[: len(wanted)] <= wanted[-1] + kinds.TIE
                    parts[k][i] = same.sum() / len(wanted)
            for k, part in parts.items():
                complete[k] |= part == 1
            yield width, parts

    def _found(self, width: int, n: int, texts: list[str]) -> list[NDArray[np.float64]]:
        """Return the distances of what scans of a width find, in the order of the index."""
        if not texts:
            return []
        connection = self._connection
        with connection.transaction():
            for name, value in {**kinds.settings(self._kind, width), **SETTINGS}.items():
                connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            rows = connection.execute(self._statement(n), {"queries": texts})
            return [np.array(near) for (near,) in rows]

    def _taken(self, width: int) -> dict[int, int]:
        """Return for each k that scans of a width can find how many images a search takes."""
        ks = [k for k in KS if k <= width * self._n_parts]
        rows = self._connection.execute(
            "SELECT k, spocdb.candidates(%s, k, %s) FROM unnest(%s::integer[]) k",
            [self._kind, width, ks],
        )
        return dict(rows.fetchall())

    def _statement(self, n: int) -> Composed:
        dim = kinds.dim_of(self._column)
        return SQL(BY_INDEX).format(
            compared=kinds.by_index(self._connection, self._kind, dim, "q.query"),
            exactly=SQL(kinds.exactly(self._column, "q.query")),
            table=Identifier(self._table),
            n=Literal(n),
        )


def _recall(parts: NDArray[np.float64]) -> float:
    """Return the mean of the parts (n,) that queries found less its standard error, at least 0."""
    return float(max(parts.mean() - parts.std() / np.sqrt(len(parts)), 0))
