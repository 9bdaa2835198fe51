"""Kinds of index: what each holds of an embedding, and which one a new index is of.

    hnsw-vector    the embedding itself
    hnsw-halfvec   its half precision: 0.6 of the bytes
    hnsw-bit       the signs of its numbers: a quarter of the bytes
    diskann        two bits of each number; of pgvectorscale, where the server has it

A search compares what the index finds by the embeddings themselves (`spocdb.candidates` says how
many), so that no kind changes a distance.
"""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.sql import SQL, Composable, Composed, Identifier
from psycopg.sql import Literal as SqlLiteral

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.embeddings import table_of
from spocdb.db.vectors import floats
from spocdb.errors import ConfigError, DatabaseError
from spocdb.records import Float32Array

Kind = Literal["hnsw-vector", "hnsw-halfvec", "hnsw-bit", "diskann"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# How an index is made: its method, what it holds, and the operator class by which it compares.
MADE: dict[Kind, str] = {
    "hnsw-vector": "hnsw ((embedding::vector({dim})) vector_ip_ops)",
    "hnsw-halfvec": "hnsw ((embedding::halfvec({dim})) halfvec_ip_ops)",
    "hnsw-bit": "hnsw ((binary_quantize(embedding)::bit({dim})) bit_hamming_ops)",
    "diskann": "diskann (embedding {schema}.vector_cosine_ops)",
}
BITS_OF_A_NUMBER: dict[Kind, int] = {
    "hnsw-vector": 32,
    "hnsw-halfvec": 16,
    "hnsw-bit": 1,
    # While it is built, it keeps the embeddings.
    "diskann": 32,
}
# Kinds that are measured before they take the place of another.
LOSSY: frozenset[Kind] = frozenset({"hnsw-bit", "diskann"})

# Half precision is chosen if no more of the nearest images are lost by it, however wide a scan is.
MOST_LOST = 0.002
# Exact scans that say so: a thousand images. More would take a good part of the time of a build.
N_QUERIES, K = 10, 100
# Tolerance of distances: of images at the same distance, any may be among the nearest.
TIE = 1e-6

STORED = """
SELECT t.kind, t.column_type, t.index_type, c.active_projection_id = t.projection_id
FROM spocdb.embedding_tables t JOIN spocdb.collections c ON c.id = t.collection_id
WHERE t.collection_id = %s AND t.projection_id = %s
"""

# The schema of pgvectorscale's operators, if the database has it.
DISKANN = """
SELECT n.nspname FROM pg_opclass o
JOIN pg_am a ON a.oid = o.opcmethod JOIN pg_namespace n ON n.oid = o.opcnamespace
WHERE a.amname = 'diskann' AND o.opcname = 'vector_cosine_ops'
"""

# The rule of a view depends on the view itself, too.
DEPENDENTS = """
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0)
FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = format('spocdb.%%I', %s::text)::regclass
  AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM d.refobjid
ORDER BY 1
"""

# One statement, so that no image of the sample is deleted before its embedding is read.
SAMPLE = """
SELECT e.image_id, e.embedding FROM (
    SELECT image_id FROM (
        SELECT image_id, row_number() OVER (ORDER BY image_id) AS n, count(*) OVER () AS total
        FROM spocdb.{table}) numbered
    WHERE n * {n} / total <> (n - 1) * {n} / total) sampled
JOIN spocdb.{table} e USING (image_id) ORDER BY 1
"""

# Each in an exact scan: a sum matches no index.
NEAREST = """
SELECT 1 + n.x FROM (
    SELECT {exactly} AS x, 0 + ({compared}) AS d FROM spocdb.{table} e ORDER BY d LIMIT {taken}) n
ORDER BY n.x LIMIT {k}
"""


class TooFewFound(Exception):
    """An index has less than the wanted recall, however wide a scan is."""

    def __init__(self, kind: Kind, best: float, wanted: float) -> None:
        found = f"{kind} finds {best:.4f} of the ten nearest images at best"
        super().__init__(f"{found}, {wanted:g} is wanted")
        self.best = best

    def refusal(self, collection: Collection, before: Kind | None) -> ConfigError:
        """Return the error that says what to do instead."""
        stays = f"the index stays {before}" if before else "try `kind='hnsw-halfvec'`"
        less = max(math.floor(self.best * 100) / 100, 0.01)
        advice = f"`db.index.measure(collection={collection.name!r}, recall={less})`"
        return ConfigError(f"{self}: {stays}, or ask for less first by {advice}", field="kind")


def stored(
    connection: Connection, collection: Collection, projection_id: int
) -> tuple[Kind | None, str]:
    """Return the kind of an embedding table's index, None if it has had none, and its column."""
    kind, column, _, _ = one_row(connection, STORED, [collection.id, projection_id])
    return kind, column


def check(connection: Connection, collection: Collection, projection_id: int, kind: Kind) -> None:
    """Refuse a kind that the server lacks, or the embeddings cannot have, or views forbid.

    Raises:
        ConfigError: the server has no such index, or the embeddings have only half precision.
        DatabaseError: objects depend on the view, which would get another type.
    """
    _, column = stored(connection, collection, projection_id)
    made(connection, kind, 1)
    if kind in ("hnsw-vector", "diskann") and column == "halfvec":
        raise ConfigError(
            f"embeddings of more than 2,000 dimensions, as those of {collection.name}, are stored "
            "in half precision: use `kind='hnsw-halfvec'`",
            field="kind",
        )
    if found := _dependents(connection, collection, projection_id, kind):
        raise DatabaseError(
            f"the view of {collection.name} would show another type, and {', '.join(found)} "
            f"depends on it: drop that first, and make it again afterwards"
        )


def made(connection: Connection, kind: Kind, dim: int) -> Composed:
    """Return how an index of a kind is made, after USING.

    Raises:
        ConfigError: the server has no such index.
    """
    values: dict[str, Composable] = {"dim": SqlLiteral(dim), "schema": SQL("")}
    if kind == "diskann":
        found = connection.execute(DISKANN).fetchone()
        if found is None:
            raise ConfigError(
                "the server has no diskann index: install pgvectorscale there and run "
                "CREATE EXTENSION vectorscale, or use `kind='hnsw-bit'`",
                field="kind",
            )
        values["schema"] = Identifier(found[0])
    return SQL(MADE[kind]).format(**values)


def operators(kind: Kind) -> str:
    """Return the name of the operator class by which an index of a kind compares."""
    return MADE[kind].rpartition(" ")[2].rpartition(".")[2].rstrip(")")


def offered(connection: Connection) -> list[Kind]:
    """Return the kinds that the server has."""
    has_diskann = connection.execute(DISKANN).fetchone() is not None
    return [kind for kind in KINDS if kind != "diskann" or has_diskann]


def settings(kind: Kind, width: int) -> dict[str, str]:
    """Return the settings of a scan of this width."""
    if kind == "diskann":
        # What it finds is compared by us.
        return {"diskann.query_search_list_size": str(width), "diskann.query_rescore": "0"}
    return {"hnsw.ef_search": str(width)}


def choose(connection: Connection, collection: Collection, projection_id: int) -> Kind:
    """Return the kind of a table's first index: half precision, unless that loses images."""
    _, column = stored(connection, collection, projection_id)
    if column == "halfvec":
        return "hnsw-halfvec"
    if _dependents(connection, collection, projection_id, "hnsw-halfvec"):
        return "hnsw-vector"
    found = lost(connection, collection, projection_id, "hnsw-halfvec")
    return "hnsw-halfvec" if found <= MOST_LOST else "hnsw-vector"


def lost(connection: Connection, collection: Collection, projection_id: int, kind: Kind) -> float:
    """Return the part of the nearest images that no index of a kind finds, however wide a scan is.

    Measured by exact scans over what such an index would hold, so that none need be built.
    """
    _, queries = sample(connection, collection, projection_id, N_QUERIES)
    as_held = nearest(connection, collection, projection_id, kind)
    exactly = nearest(connection, collection, projection_id, "hnsw-vector")
    parts = []
    for query in queries:
        asked = {"query": Vector(query)}
        wanted, found = (
            np.array([row[0] for row in connection.execute(statement, asked)])
            for statement in (exactly, as_held)
        )
        # Without any, all images were deleted meanwhile.
        if len(wanted) and len(found):
            parts.append((found > wanted[-1] + TIE).mean())
    return float(np.mean(parts)) if parts else 0.0


def sample(
    connection: Connection, collection: Collection, projection_id: int, n: int
) -> tuple[NDArray[np.int64], Float32Array]:
    """Return the ids (n,) and embeddings (n, N) of evenly spread images of a collection."""
    table, _ = table_of(connection, collection, projection_id)
    statement = SQL(SAMPLE).format(table=Identifier(table), n=SqlLiteral(n))
    rows = connection.execute(statement, []).fetchall()
    return np.array([id_ for id_, _ in rows], np.int64), np.array([floats(v) for _, v in rows])


def nearest(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind
) -> Composed:
    """Return the statement of an exact scan for `query` by what an index of a kind holds."""
    table, column = table_of(connection, collection, projection_id)
    (taken,) = one_row(connection, "SELECT spocdb.candidates(%s, %s, %s)", [kind, K, K])
    return SQL(NEAREST).format(
        exactly=SQL(exactly(column)),
        compared=by_index(connection, kind, dim_of(column)),
        table=Identifier(table),
        taken=SqlLiteral(taken),
        k=SqlLiteral(K),
    )


def by_index(connection: Connection, kind: Kind, dim: int, query: str = "%(query)s::vector") -> SQL:
    """Return the expression by which an index of a kind orders the embeddings `e.embedding`."""
    statement = "SELECT spocdb.by_index(%s, %s, 'e.embedding', %s)"
    return SQL(one_row(connection, statement, [kind, dim, query])[0])


def exactly(column: str, query: str = "%(query)s") -> str:
    """Return the expression that compares the embeddings of a column such as vector(256)."""
    return f"e.embedding <#> {query}::{column}"


def dim_of(column: str) -> int:
    """Return the dimensions of a column such as vector(256)."""
    return int(column.partition("(")[2].rstrip(")"))


def _dependents(
    connection: Connection, collection: Collection, projection_id: int, kind: Kind
) -> list[str]:
    """Return the objects that depend on the view, if this kind would change the view's type."""
    values = [collection.id, projection_id]
    _, column, shown, is_active = one_row(connection, STORED, values)
    if not is_active or shown == ("halfvec" if kind == "hnsw-halfvec" else column):
        return []
    return [name for (name,) in connection.execute(DEPENDENTS, [collection.name])]
