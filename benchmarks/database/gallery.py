"""A collection of generated images that grows by stretches, and its exact answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from benchmarks import data
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import collections, embeddings, projections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import copy_out
from spocdb.features.projection import Moments, fit, project
from spocdb.records import Float32Array, Projection

Int64Array = NDArray[np.int64]

DIM, K = 256, 10
N_FITTED = 20_000


@dataclass(frozen=True)
class Gallery:
    """A collection with one fitted projection that grows to `n_rows`."""

    db: Database
    connection: Connection
    collection: Collection
    fitted: Projection
    n_rows: int

    @property
    def table(self) -> str:
        """Return the name of the embedding table."""
        return f"embeddings_{self.collection.id}_{self.collection.active_projection_id}"

    @property
    def stretch(self) -> int:
        """Return how many rows are generated and written at a time."""
        return min(data.STRETCH, self.n_rows)

    @property
    def is_large(self) -> bool:
        """Return whether to measure thoroughly; a small gallery is for a quick run or a test."""
        return self.n_rows > 100_000

    def count(self) -> int:
        """Count its current rows."""
        return embeddings.count(
            self.connection, self.collection, self.collection.active_projection_id
        )

    @cached_property
    def queries(self) -> Float32Array:
        """Embeddings (n, 256) of images outside the gallery that resemble images in it."""
        stretches = range(min(3, self.n_rows // self.stretch))
        raw = [data.make_stretch(number, self.stretch)[1] for number in stretches]
        n_queries = min(1000, max(100, self.n_rows // 500))
        return project(np.concatenate(raw), self.fitted)[:n_queries]


Step = Callable[[Gallery], list[Figure]]


def open(db: Database, connection: Connection, name: str, n_rows: int) -> Gallery:
    """Return the gallery of this name, created if it is new; statements run on `connection`."""
    made = data.make_collection(connection, name)
    if not len(projections.load(connection, made.active_projection_id).components):
        _embed_by_pca(connection, made, n_rows)
    now = collections.get(connection, name)
    fitted = projections.load(connection, now.active_projection_id)
    return Gallery(db, connection, now, fitted, n_rows)


def _embed_by_pca(connection: Connection, made: Collection, n_rows: int) -> None:
    stretch = min(data.STRETCH, n_rows)
    some = range(min(N_FITTED, n_rows) // stretch)
    descriptors = np.concatenate([data.make_stretch(number, stretch)[0] for number in some])
    number = projections.store(connection, made.extractor_id, fit(Moments.of(descriptors), DIM), {})
    embeddings.add(connection, made, number)
    embeddings.activate(connection, made, number)
    embeddings.drop(connection, made, made.active_projection_id)


def truth(gallery: Gallery, queries: Float32Array, k: int = K, every: int = 1) -> Int64Array:
    """Return the ids (n, k) of the nearest rows by an exact scan, among ids divisible by `every`.

    In NumPy, by chunks, independent of the code that is measured.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    ids = np.full((len(queries), k), -1, np.int64)
    for found, rows in stream(gallery):
        found, rows = found[found % every == 0], rows[found % every == 0]
        both = np.concatenate([best, queries @ rows.T], axis=1)
        whose = np.concatenate([ids, np.broadcast_to(found, (len(queries), len(found)))], axis=1)
        first = np.argpartition(-both, k - 1, axis=1)[:, :k]
        best, ids = np.take_along_axis(both, first, 1), np.take_along_axis(whose, first, 1)
    return ids


def stream(gallery: Gallery, n_rows: int = 20_000) -> Iterator[tuple[Int64Array, Float32Array]]:
    """Yield the ids (n,) and embeddings (n, 256) of all rows, in chunks."""
    statement = SQL(
        "COPY (SELECT image_id, embedding FROM spocdb.{}) TO STDOUT (FORMAT binary)"
    ).format(Identifier(gallery.table))
    layout = {"id": "bigint", "embedding": f"vector({DIM})"}
    for rows in copy_out(gallery.connection, statement, layout, n_rows):
        yield rows["id"].astype(np.int64), rows["embedding"].astype(np.float32)


def recall(found: Sequence[Sequence[tuple[Any, ...]]], wanted: Int64Array) -> float:
    """Return the fraction of the wanted ids that was found; each row begins with its id."""
    pairs = zip(found, wanted, strict=True)
    hits = sum(len({row[0] for row in rows} & set(ids.tolist())) for rows, ids in pairs)
    return hits / wanted.size


def bytes_of(gallery: Gallery, relation: str) -> int:
    """Return the bytes of a table without its indexes, or of an index."""
    return int(one_row(gallery.connection, "SELECT pg_relation_size(%s)", [relation])[0])
