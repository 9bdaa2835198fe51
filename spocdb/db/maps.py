"""Maps: where the images of a collection lie in two dimensions, stored beside a projection.

`spocdb.db.mapping` stores them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row
from psycopg.sql import SQL, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import copy_out
from spocdb.db.search import snapshot
from spocdb.errors import MapNotFound
from spocdb.records import Float32Array
from spocdb.wording import counted

# Positions in memory at once while they are streamed.
CHUNK_ROWS = 1000


@dataclass(frozen=True, slots=True)
class CollectionMap:
    """What is known about a map; `settings` are those of its method, umap or components.

    `n_placed` images have a position. `n_embedded` have an embedding by the projection by now;
    those of them that were added or changed after the map was made have no position.
    """

    id: int
    collection: str
    projection: int
    method: str
    settings: dict[str, Any]
    made_at: datetime
    n_placed: int
    n_embedded: int

    @property
    def n_without(self) -> int:
        """Return the number of images that another map by this projection would add."""
        return max(0, self.n_embedded - self.n_placed)


@dataclass(frozen=True, slots=True)
class MapPoints:
    """Positions (n, 2) float32 on a map, and the images' ids (n,) int64, ascending.

    They are a sample if the map has more of them: `n_placed`.
    """

    ids: NDArray[np.int64]
    positions: Float32Array
    n_placed: int


FIND = """
SELECT m.id, c.name AS collection, m.projection_id AS projection, m.method, m.settings, m.made_at,
       (SELECT count(*) FROM spocdb.map_positions p WHERE p.map_id = m.id) AS n_placed,
       spocdb.count_embeddings(c.name, m.projection_id) AS n_embedded
FROM spocdb.maps m JOIN spocdb.collections c ON c.id = m.collection_id
WHERE m.collection_id = %s AND (%s::bigint IS NULL OR m.projection_id = %s)
ORDER BY m.projection_id
"""

# No count of embeddings, which may read a large table.
VERSION = """
SELECT m.id, m.made_at, (SELECT count(*) FROM spocdb.map_positions p WHERE p.map_id = m.id)
FROM spocdb.maps m WHERE m.collection_id = %s AND m.projection_id = %s
"""

# A sample that is the same each time: ids are hashed by multiplying them with 2^32 divided by the
# golden ratio, modulo 2^32, which spreads them evenly. Those below `share` are taken.
POSITIONS = """
COPY (
    SELECT image_id, x, y FROM spocdb.map_positions
    WHERE map_id = {map} AND ((image_id & 2147483647) * 2654435769) & 4294967295 < {share}
    ORDER BY image_id LIMIT {most}
) TO STDOUT (FORMAT binary)
"""
EVERY = 2**32

SOME_POSITIONS = """
SELECT image_id, x, y FROM spocdb.map_positions WHERE map_id = %s AND image_id = ANY(%s)
"""

EXISTS = "SELECT EXISTS (SELECT FROM spocdb.maps WHERE id = %s)"


def find(connection: Connection, collection: Collection, projection: int) -> CollectionMap:
    """Return what is known about a collection's map by a projection.

    Raises:
        MapNotFound: none has been made.
    """
    found = stored(connection, collection, projection)
    if not found:
        raise _missing(collection, projection)
    return found[0]


def _missing(collection: Collection, projection: int) -> MapNotFound:
    return MapNotFound(
        f"collection {collection.name} has no map by projection {projection}: "
        f"run `db.map({collection.name!r}, projection={projection})`"
    )


def stored(
    connection: Connection, collection: Collection, projection: int | None = None
) -> list[CollectionMap]:
    """List a collection's maps by projection; with `projection` only the one by it."""
    with connection.cursor(row_factory=class_row(CollectionMap)) as cursor:
        return cursor.execute(FIND, [collection.id, projection, projection]).fetchall()


def without(found: CollectionMap) -> str:
    """Return a line about the images that have no position; call it if there are any."""
    n, of = found.n_without, counted(found.n_embedded, "embedded image")
    return (
        f"{n:,} of {of} came after the map of {found.collection}, or changed: run "
        f"`db.map({found.collection!r}, projection={found.projection})` again"
    )


def version(connection: Connection, collection: Collection, projection: int) -> str:
    """Return a text that changes when the positions of a map do.

    Raises:
        MapNotFound: none has been made.
    """
    id, made_at, n_placed = _version(connection, collection, projection)
    # A map made again has another id. Of one map images only go, so their number tells which do.
    return f"{id}-{made_at.timestamp()}-{n_placed}"


def _version(
    connection: Connection, collection: Collection, projection: int
) -> tuple[int, datetime, int]:
    row = connection.execute(VERSION, [collection.id, projection]).fetchone()
    if row is None:
        raise _missing(collection, projection)
    return row[0], row[1], row[2]


def points(
    connection: Connection, collection: Collection, projection: int, most: int | None
) -> MapPoints:
    """Return the positions on a map, or a sample of about `most` of them, and not more.

    Raises:
        MapNotFound: none has been made.
    """
    with snapshot(connection):
        id, _, n_placed = _version(connection, collection, projection)
        n_most = n_placed if most is None else min(most, n_placed)
        ids, positions, n = np.empty(n_most, np.int64), np.empty((2, n_most), np.float32), 0
        statement = SQL(POSITIONS).format(
            map=Literal(id), share=Literal(EVERY * n_most // max(1, n_placed)), most=Literal(n_most)
        )
        fields = {"image_id": "bigint", "x": "real", "y": "real"}
        for rows in copy_out(connection, statement, fields, CHUNK_ROWS):
            part = slice(n, n + len(rows))
            ids[part], positions[0, part], positions[1, part] = (
                rows["image_id"],
                rows["x"],
                rows["y"],
            )
            n += len(rows)
    return MapPoints(ids[:n], positions[:, :n].T, n_placed)


def exists(connection: Connection, map_id: int) -> bool:
    """Tell whether a map is still stored; one that is made again gets another id."""
    return bool(one_row(connection, EXISTS, [map_id])[0])


def positions_of(
    connection: Connection, map_id: int, ids: list[int]
) -> dict[int, tuple[float, float]]:
    """Return the positions of some images by their ids; images without one are left out."""
    return {id: (x, y) for id, x, y in connection.execute(SOME_POSITIONS, [map_id, ids])}
