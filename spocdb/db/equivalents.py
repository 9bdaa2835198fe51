"""Statements as texts, for people to run in psql: they give the rows that the API gives."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.filters import Json
from spocdb.records import Float32Array

NEWEST = """SELECT {id}, {name}
FROM spocdb.{view}{condition}
ORDER BY {id} DESC
LIMIT {n};"""

SIMILAR = """SELECT id, path, distance
FROM spocdb.similar({collection}, {image}, {k}{filter});"""

SEARCH = """SELECT id, path, distance
FROM spocdb.search({collection}, {query}, {k}{filter});"""

# The named images are left out after the search, so it has to find as many more.
SEVERAL = """SELECT id, path, distance
FROM spocdb.search({collection}, {query}, {n}{filter})
WHERE id <> ALL ({named})
LIMIT {k};"""

ROCCHIO = "spocdb.rocchio({collection}, {liked}, {disliked}{query})"

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
    if len(images) > 1 or unlike:
        named = {*images, *unlike}
        several = SQL(SEVERAL).format(
            collection=Literal(collection.name),
            query=_rocchio(collection, images, unlike),
            n=Literal(k + len(named)),
            filter=_argument(filter),
            named=_ids(sorted(named)),
            k=Literal(k),
        )
        return several.as_string(connection)
    statement = SQL(SIMILAR).format(
        collection=Literal(collection.name),
        image=Literal(images[0]),
        k=Literal(k),
        filter=_argument(filter),
    )
    return statement.as_string(connection)


def search(
    connection: Connection,
    collection: Collection,
    query: Float32Array,
    k: int,
    filter: Json,
    like: Sequence[int],
    unlike: Sequence[int],
) -> str:
    """Return the statement that finds the images nearest to an embedding (N,)."""
    # Nine digits tell any two float32 apart.
    embedding = Literal("[" + ",".join(f"{value:.9g}" for value in query) + "]")
    statement = SQL(SEARCH).format(
        collection=Literal(collection.name),
        query=_rocchio(collection, like, unlike, embedding) if like or unlike else embedding,
        k=Literal(k),
        filter=_argument(filter),
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


def _argument(filter: Json) -> Composable:
    return SQL(", {}").format(Literal(Jsonb(filter))) if filter else SQL("")
