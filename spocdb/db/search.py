"""Search: calls of the SQL functions, which project and search in the database."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb.db import sessions
from spocdb.db.connections import Connection, one_row
from spocdb.db.vectors import floats, vector
from spocdb.filters import Json
from spocdb.records import Float32Array


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `distance` is the cosine distance (0 the same, 2 opposite; similarity is
    1 - distance); `method` says how it was found: hnsw, hnsw iterative, diskann, diskann iterative,
    or exact. `n_duplicates` is the number of other images in its group of duplicates, if the search
    shows groups once."""

    id: int
    path: str
    distance: float
    metadata: dict[str, Any]
    method: str
    n_duplicates: int | None = None


# The last argument of each function is the projection, NULL for the active one.
EMBED = "SELECT spocdb.embed(%s, %s, %s)"

EMBEDDING = "SELECT spocdb.embedding(%s, %s, %s)"

EMBEDDINGS = """
SELECT spocdb.embedding(%s, listed.id, %s)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS listed (id, n) ORDER BY listed.n
"""

EXPAND = "SELECT spocdb.expand(%s, %s, %s, %s, %s, %s)"

ROCCHIO = "SELECT spocdb.rocchio(%s, %s::bigint[], %s::bigint[], %s, %s)"

NEAREST = "SELECT * FROM spocdb.search(%s, %s, %s, %s, %s, %s)"

COLLAPSED = "SELECT * FROM spocdb.search_collapsed(%s, %s, %s, %s, %s, %s, %s::bigint[])"

COLLAPSE = "SELECT * FROM spocdb.collapse(%s, %s::bigint[])"

WITHIN = "SELECT * FROM spocdb.within(%s, %s, %s, %s, %s)"

SIMILAR = "SELECT * FROM spocdb.similar(%s, %s, %s, %s, %s, %s)"

MOST_RESULTS = 2**31 - 1


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Run the block in a REPEATABLE READ transaction, so that all statements see one projection.

    Inside a transaction of the caller, the isolation level stays the caller's.
    """
    is_outermost = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if is_outermost:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


@contextmanager
def wanting(connection: Connection, recall: float | None) -> Iterator[None]:
    """Search by the index with this recall in the block; None: with that of the collection."""
    if recall is None:
        yield
        return
    with sessions.raised(connection, **{"spocdb.recall": repr(float(recall))}):
        yield


def embed(
    connection: Connection, collection: str, raw: Float32Array, projection: int | None = None
) -> Float32Array:
    """Return the embedding (N,) of a raw descriptor (C,) by the active projection or a kept one.

    Raises:
        ProjectionNotFound: the collection has no embeddings by this projection.
        psycopg.DataError: the projection is damaged and gives no embedding.
    """
    (found,) = one_row(connection, EMBED, [collection, vector(raw), projection])
    if found is None:
        raise psycopg.DataError(
            f"the projection of {collection} has no components: run `spocdb.db.doctor.examine(...)`"
        )
    return floats(found)


def embedding(
    connection: Connection, collection: str, id: int, projection: int | None = None
) -> Float32Array:
    """Return the embedding (N,) of one of the collection's own images.

    Raises:
        ImageNotFound: the collection has no such image.
    """
    return floats(one_row(connection, EMBEDDING, [collection, id, projection])[0])


def embeddings(
    connection: Connection, collection: str, ids: Sequence[int], projection: int | None = None
) -> Float32Array:
    """Return the embeddings (n, N) of some of the collection's images, in the order of `ids`."""
    rows = connection.execute(EMBEDDINGS, [collection, projection, ids])
    import numpy as np

    return np.array([floats(row[0]) for row in rows])


def expand(
    connection: Connection,
    collection: str,
    query: Float32Array,
    neighbours: int,
    alpha: float,
    *,
    exact: bool,
    projection: int | None = None,
) -> Float32Array:
    """Add the nearest neighbours to an embedding (N,): query expansion."""
    values = [collection, vector(query), neighbours, alpha, exact, projection]
    return floats(one_row(connection, EXPAND, values)[0])


def rocchio(
    connection: Connection,
    collection: str,
    liked: Sequence[int],
    disliked: Sequence[int],
    query: Float32Array | None = None,
    projection: int | None = None,
) -> Float32Array:
    """Return a query (N,) made of liked and disliked images, and of an embedding (N,) if given.

    Raises:
        ImageNotFound: the collection has no such image.
    """
    given = None if query is None else vector(query)
    values = [collection, list(liked), list(disliked), given, projection]
    return floats(one_row(connection, ROCCHIO, values)[0])


def nearest(
    connection: Connection,
    collection: str,
    query: Float32Array,
    k: int,
    filter: Json,
    *,
    exact: bool,
    projection: int | None = None,
) -> list[Hit]:
    """Return the k images nearest to an embedding (N,)."""
    values = [collection, vector(query), min(k, MOST_RESULTS), Jsonb(filter), exact, projection]
    with connection.cursor(row_factory=class_row(Hit)) as cursor:
        return cursor.execute(NEAREST, values).fetchall()


def collapsed(
    connection: Connection,
    collection: str,
    query: Float32Array,
    k: int,
    filter: Json,
    *,
    exact: bool,
    projection: int | None,
    left_out: Collection[int],
) -> list[Hit]:
    """Return the nearest image of each of the k groups nearest to an embedding (N,).

    Raises:
        DuplicatesNotFound: duplicates were not looked for.
    """
    values = [collection, vector(query), min(k, MOST_RESULTS), Jsonb(filter), exact, projection]
    with connection.cursor(row_factory=class_row(Hit)) as cursor:
        return cursor.execute(COLLAPSED, [*values, [*left_out]]).fetchall()


def collapse(connection: Connection, collection: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the first hit of each group of duplicates, in their order.

    Raises:
        DuplicatesNotFound: duplicates were not looked for.
    """
    rows = connection.execute(COLLAPSE, [collection, [hit.id for hit in hits]])
    numbers: dict[int, int] = dict(rows.fetchall())
    return [replace(hit, n_duplicates=numbers[hit.id]) for hit in hits if hit.id in numbers]


def within(
    connection: Connection,
    collection: str,
    query: Float32Array,
    max_distance: float,
    filter: Json,
    projection: int | None = None,
) -> list[Hit]:
    """Return all images up to a distance from an embedding (N,), nearest first."""
    values = [collection, vector(query), max_distance, Jsonb(filter), projection]
    with connection.cursor(row_factory=class_row(Hit)) as cursor:
        return cursor.execute(WITHIN, values).fetchall()


def similar(
    connection: Connection,
    collection: str,
    id: int,
    k: int,
    filter: Json,
    *,
    exact: bool,
    projection: int | None = None,
) -> list[Hit]:
    """Return the k images nearest to one of the collection's own, without it.

    Raises:
        ImageNotFound: the collection has no such image.
        ProjectionNotFound: the collection has no embeddings by this projection.
    """
    # The SQL function searches for k + 1.
    values = [collection, id, min(k, MOST_RESULTS - 1), Jsonb(filter), exact, projection]
    with connection.cursor(row_factory=class_row(Hit)) as cursor:
        return cursor.execute(SIMILAR, values).fetchall()
