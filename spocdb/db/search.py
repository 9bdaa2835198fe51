"""Search: one call of the SQL functions; everything after the network happens in the database."""

from dataclasses import dataclass
from typing import Any

from pgvector import Vector
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb.db.engine import Connection
from spocdb.records import Float32Array


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `distance` is the cosine distance (0 the same, 2 opposite; similarity is
    1 - distance); `method` says how it was found: hnsw, hnsw iterative, or exact."""

    id: int
    path: str
    distance: float
    metadata: dict[str, Any]
    method: str


BY_DESCRIPTOR = """
SELECT * FROM spocdb.search(%(collection)s, spocdb.embed(%(collection)s, %(raw)s), %(k)s,
                            %(filter)s, %(exact)s)
"""

BY_ID = "SELECT * FROM spocdb.similar(%(collection)s, %(id)s, %(k)s, %(filter)s, %(exact)s)"


def by_descriptor(
    connection: Connection,
    collection: str,
    raw: Float32Array,
    k: int,
    filter: dict[str, Any],
    *,
    exact: bool,
) -> list[Hit]:
    """Return the k images nearest to a raw descriptor (C,), by the active projection."""
    parameters = {"raw": Vector(raw), "k": k, "filter": Jsonb(filter), "exact": exact}
    return _run(connection, BY_DESCRIPTOR, {"collection": collection, **parameters})


def by_id(
    connection: Connection,
    collection: str,
    id: int,
    k: int,
    filter: dict[str, Any],
    *,
    exact: bool,
) -> list[Hit]:
    """Return the k images nearest to one of the collection's own. Raises ImageNotFound."""
    parameters = {"id": id, "k": k, "filter": Jsonb(filter), "exact": exact}
    return _run(connection, BY_ID, {"collection": collection, **parameters})


def _run(connection: Connection, statement: str, parameters: dict[str, Any]) -> list[Hit]:
    with connection.cursor(row_factory=class_row(Hit)) as cursor:
        return cursor.execute(statement, parameters).fetchall()
