"""Statements as texts, for people to run in psql: they give the rows that the API gives."""

from collections.abc import Sequence, Set
from typing import LiteralString

from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import DimensionMismatch
from spocdb.filters import Json
from spocdb.records import Float32Array

NEWEST = """SELECT {id}, {name}
FROM spocdb.{view}{condition}
ORDER BY {id} DESC
LIMIT {n};"""

# What is left out is left out after the search, so it has to find as many more.
FOUND = """SELECT id, path, distance
FROM spocdb.{function}({collection}, {query}, {n}{filter}){rest};"""

LEFT_OUT = """
WHERE id <> ALL ({ids})
LIMIT {k}"""

ROCCHIO = "spocdb.rocchio({collection}, {liked}, {disliked}{query})"

DIM = "SELECT dim FROM spocdb.projections WHERE id = %s"

# id and path; or a table's key and image_id. From the view, because a reader may not see more.
FIRST_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = format('spocdb.%%I', %s::text)::regclass AND attnum <= 2 ORDER BY attnum
"""


def newest(connection: Connection, collection: Collection, filter: Json, n: int) -> str:
    """Return the statement that lists a collection's newest images."""
    (first,), (second,) = connection.execute(FIRST_COLUMNS, [collection.name]).fetchall()
    id, name = (second, first) if second == "image_id" else (first, second)
    statement = SQL(NEWEST).format(
        id=Identifier(id),
        name=Identifier(name),
        view=Identifier(collection.name),
        condition=_condition(filter),
        n=Literal(n),
    )
    return statement.as_string(connection)


def similar(
    connection: Connection,
    collection: Collection,
    images: Sequence[int],
    k: int,
    filter: Json,
    unlike: Sequence[int],
) -> str:
    """Return the statement that finds the images like stored ones, and unlike others."""
    if len(images) == 1 and not unlike:
        return _found(connection, collection, "similar", Literal(images[0]), k, filter)
    query = _rocchio(collection, images, unlike)
    return _found(connection, collection, "search", query, k, filter, {*images, *unlike})


def search(
    connection: Connection,
    collection: Collection,
    query: Float32Array,
    k: int,
    filter: Json,
    like: Sequence[int],
    unlike: Sequence[int],
) -> str:
    """Return the statement that finds the images nearest to an embedding (N,).

    Raises:
        DimensionMismatch: the active projection has another number of dimensions.
    """
    (dim,) = one_row(connection, DIM, [collection.active_projection_id])
    if len(query) != dim:
        raise DimensionMismatch(dim, len(query))
    # Nine digits tell any two float32 apart.
    embedding = Literal("[" + ",".join(f"{value:.9g}" for value in query) + "]")
    moved = _rocchio(collection, like, unlike, embedding) if like or unlike else embedding
    return _found(connection, collection, "search", moved, k, filter)


def _found(
    connection: Connection,
    collection: Collection,
    function: LiteralString,
    query: Composable,
    k: int,
    filter: Json,
    left_out: Set[int] = frozenset(),
) -> str:
    rest = SQL(LEFT_OUT).format(ids=_ids(sorted(left_out)), k=Literal(k))
    statement = SQL(FOUND).format(
        function=SQL(function),
        collection=Literal(collection.name),
        query=query,
        n=Literal(k + len(left_out)),
        filter=SQL(", {}").format(Literal(Jsonb(filter))) if filter else SQL(""),
        rest=rest if left_out else SQL(""),
    )
    return statement.as_string(connection)


def _rocchio(
    collection: Collection,
    liked: Sequence[int],
    disliked: Sequence[int],
    query: Composable | None = None,
) -> Composable:
    return SQL(ROCCHIO).format(
        collection=Literal(collection.name),
        liked=_ids(liked),
        disliked=_ids(disliked),
        query=SQL(", {}").format(query) if query else SQL(""),
    )


def _ids(ids: Sequence[int]) -> Composable:
    return Literal("{" + ",".join(map(str, ids)) + "}")


def _condition(filter: Json) -> Composable:
    if not filter:
        return SQL("")
    if isinstance(filter, dict):
        return SQL("\nWHERE metadata @> {}").format(Literal(Jsonb(filter)))
    return SQL("\nWHERE metadata @@ spocdb.filter_path({})").format(Literal(Jsonb(filter)))
