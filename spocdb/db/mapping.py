"""Making a map: what it is computed from, and how it is stored."""

from collections.abc import Iterator
from typing import Any

from psycopg.sql import SQL, Literal
from psycopg.types.json import Jsonb

from spocdb.db import embeddings, maps
from spocdb.db.collections import Collection, hold
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import Rows, copy_in, copy_out, pieces
from spocdb.errors import RightMissing

# Embeddings in memory at once while they are streamed.
CHUNK_ROWS = 1000

CONTENTS = """
COPY (SELECT id, sha256 FROM spocdb.images WHERE collection_id = {collection} ORDER BY id)
TO STDOUT (FORMAT binary)
"""

EMBEDDED = """
COPY (SELECT image_id, embedding FROM spocdb.embeddings({collection}, {ids}, {projection}))
TO STDOUT (FORMAT binary)
"""

MAY_WRITE = """
SELECT has_table_privilege('spocdb.maps', 'INSERT')
   AND has_table_privilege('spocdb.maps', 'DELETE')
   AND has_table_privilege('spocdb.map_positions', 'INSERT')
"""

STAGE = """
CREATE TEMPORARY TABLE incoming_positions (
    image_id bigint NOT NULL, sha256 bytea NOT NULL, x real NOT NULL, y real NOT NULL
) ON COMMIT DROP
"""
STAGED = {"image_id": "bigint", "sha256": "sha256", "x": "real", "y": "real"}

FORGET = "DELETE FROM spocdb.maps WHERE collection_id = %s AND projection_id = %s"

ADD = """
INSERT INTO spocdb.maps (collection_id, projection_id, method, settings) VALUES (%s, %s, %s, %s)
RETURNING id
"""

# The lock of the collection keeps ingests and workers away. A row that an application deletes at
# this moment is not waited for: its image has no position.
PLACE = """
INSERT INTO spocdb.map_positions (map_id, image_id, x, y)
SELECT %s, i.id, n.x, n.y
FROM incoming_positions n JOIN spocdb.images i ON i.id = n.image_id AND i.sha256 = n.sha256
FOR KEY SHARE OF i SKIP LOCKED
"""


def contents(connection: Connection, collection: Collection) -> list[Rows]:
    """Return `id` and `sha256` of all images, by id, in parts of at most CHUNK_ROWS."""
    statement = SQL(CONTENTS).format(collection=Literal(collection.id))
    fields = {"id": "bigint", "sha256": "sha256"}
    return [*copy_out(connection, statement, fields, CHUNK_ROWS)]


def embedded(
    connection: Connection, collection: Collection, projection: int, dim: int, ids: list[int]
) -> Iterator[Rows]:
    """Stream `id` and `embedding` (n, N) of images by a projection, in the order of their ids."""
    statement = SQL(EMBEDDED).format(
        collection=Literal(collection.name), ids=Literal(ids), projection=Literal(projection)
    )
    fields = {"id": "bigint", "embedding": f"vector({dim})"}
    return copy_out(connection, statement, fields, CHUNK_ROWS)


def check_rights(connection: Connection) -> None:
    """Refuse a role that may not store maps, before one is computed.

    Raises:
        RightMissing: the role may not write to spocdb.maps.
    """
    if not one_row(connection, MAY_WRITE)[0]:
        role = connection.info.user
        raise RightMissing(
            f"the role {role} may not store maps (spocdb.maps): ask the owner of spocdb to make it"
        )


def store(
    connection: Connection,
    collection: Collection,
    projection: int,
    method: str,
    settings: dict[str, Any],
    columns: dict[str, Any],
) -> maps.CollectionMap:
    """Store a map in place of an earlier one, in one transaction.

    `columns` are image_id, sha256, x and y. Images that were deleted or changed since they were
    read get no position.

    Raises:
        ProjectionNotFound: the embeddings by this projection were dropped meanwhile.
    """
    with connection.transaction():
        hold(connection, collection)
        embeddings.table_of(connection, collection, projection)
        connection.execute(FORGET, [collection.id, projection])
        values = [collection.id, projection, method, Jsonb(settings)]
        (made,) = one_row(connection, ADD, values)
        connection.execute(STAGE)
        copied = "COPY incoming_positions FROM STDIN (FORMAT binary)"
        copy_in(connection, copied, pieces(STAGED, columns))
        connection.execute(PLACE, [made])
        return maps.find(connection, collection, projection)
