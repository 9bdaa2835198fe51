"""Read a whole collection: its images page by page, or all its embeddings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row
from psycopg.sql import SQL, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import Rows, copy_out
from spocdb.db.metadata import matches
from spocdb.db.search import snapshot
from spocdb.db.vectors import floats
from spocdb.filters import Json
from spocdb.records import Float32Array

# Images per statement. One cursor over all would hold its snapshot as long as the caller takes.
PAGE = 1000
# Embeddings per statement. The server holds the result of a function, on its disk if it is large.
EMBEDDED_PAGE = 20_000


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image of a collection; `path` is the key of its row where a table is attached.

    `width` and `height` are pixels of the upright image, `size` the bytes of its file. `embedding`
    is (N,) float32 of length one by the active projection; None if it was not requested, or the
    image has none yet.
    """

    id: int
    path: str
    width: int
    height: int
    size: int
    sha256: str
    metadata: dict[str, Any]
    ingested_at: datetime
    embedding: Float32Array | None = field(default=None, compare=False, repr=False)


LIST = """
SELECT i.id, i.path, i.width, i.height, i.size, encode(i.sha256, 'hex') AS sha256, i.metadata,
       i.ingested_at
FROM spocdb.images i
WHERE i.collection_id = %(collection)s AND (%(last)s::text IS NULL OR i.path > %(last)s)
  AND {matches}
ORDER BY i.path LIMIT %(page)s
"""

NEWEST = """
SELECT i.id, i.path, i.width, i.height, i.size, encode(i.sha256, 'hex') AS sha256, i.metadata,
       i.ingested_at
FROM spocdb.images i
WHERE i.collection_id = %(collection)s AND (%(before)s::bigint IS NULL OR i.id < %(before)s)
  AND {matches}
ORDER BY i.id DESC LIMIT %(page)s
"""

SIZES = "SELECT id, width, height FROM spocdb.images WHERE id = ANY(%s)"

DIM = """
SELECT p.dim FROM spocdb.collections c JOIN spocdb.projections p ON p.id = c.active_projection_id
WHERE c.id = %s
"""

COUNT = "SELECT count(*) FROM spocdb.images WHERE collection_id = %s"

EMBEDDED = "SELECT image_id, embedding FROM spocdb.embeddings(%s, %s)"

COPY_EMBEDDED = """
COPY (SELECT image_id, embedding FROM spocdb.embeddings_after({collection}, {last}, {n}))
TO STDOUT (FORMAT binary)
"""


def page(
    connection: Connection,
    collection: Collection,
    filter: Json,
    last: str | None,
    n: int,
    *,
    embeddings: bool = False,
) -> list[StoredImage]:
    """Return the next n images that match a filter, ordered by path, after the path `last`."""
    condition, values = matches(connection, filter)
    statement = SQL(LIST).format(matches=condition)
    values |= {"collection": collection.id, "last": last, "page": n}
    with snapshot(connection), connection.cursor(row_factory=class_row(StoredImage)) as cursor:
        images = cursor.execute(statement, values).fetchall()
        if not embeddings:
            return images
        wanted = [collection.name, [image.id for image in images]]
        rows = connection.execute(EMBEDDED, wanted).fetchall()
    found = {id: floats(vector) for id, vector in rows}
    return [replace(image, embedding=found.get(image.id)) for image in images]


def newest(
    connection: Connection, collection: Collection, filter: Json, before: int | None, n: int
) -> list[StoredImage]:
    """Return the next n images that match a filter, newest first, older than the id `before`."""
    condition, values = matches(connection, filter)
    values |= {"collection": collection.id, "before": before, "page": n}
    statement = SQL(NEWEST).format(matches=condition)
    return [StoredImage(*row) for row in connection.execute(statement, values)]


def sizes(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return width and height of images by id; ids of no image are left out."""
    return {id: (width, height) for id, width, height in connection.execute(SIZES, [list(ids)])}


def listed(connection: Connection, collection: Collection, filter: Json) -> Iterator[StoredImage]:
    """Yield the images that match a filter, ordered by path; one page is in memory."""
    last: str | None = None
    while found := page(connection, collection, filter, last, PAGE):
        yield from found
        last = found[-1].path


def embeddings(
    connection: Connection, collection: Collection
) -> tuple[NDArray[np.int64], Float32Array]:
    """Return the ids (n,) of all embedded images, ascending, and their embeddings (n, N)."""
    with snapshot(connection):
        (dim,) = one_row(connection, DIM, [collection.id])
        (n_images,) = one_row(connection, COUNT, [collection.id])
        ids, found = np.empty(n_images, np.int64), np.empty((n_images, dim), np.float32)
        n = 0
        for rows in streamed(connection, collection):
            ids[n : n + len(rows)], found[n : n + len(rows)] = rows["id"], rows["embedding"]
            n += len(rows)
    return ids[:n], found[:n]


def streamed(connection: Connection, collection: Collection) -> Iterator[Rows]:
    """Yield `id` and `embedding` (n, N) of all embedded images, by id; a page is in memory."""
    (dim,) = one_row(connection, DIM, [collection.id])
    fields = {"id": "bigint", "embedding": f"vector({dim})"}
    last, n_read = 0, EMBEDDED_PAGE
    while n_read == EMBEDDED_PAGE:
        n_read = 0
        names = {"collection": Literal(collection.name), "last": last, "n": EMBEDDED_PAGE}
        for rows in copy_out(connection, SQL(COPY_EMBEDDED).format(**names), fields, PAGE):
            yield rows
            n_read, last = n_read + len(rows), int(rows["id"][-1])
