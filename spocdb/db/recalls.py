"""The measured recall of an index (spocdb/db/curves.py), stored: how wide a search has to be."""

from spocdb.db import curves
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.curves import Curve
from spocdb.db.kinds import Kind
from spocdb.errors import DatabaseError

# Below this number of images searches are quick at any width, and measuring would take longer than
# the index.
FEWEST = 10_000
# Measured again after a growth by a quarter.
GROWTH = 1.25

# What an index is: another one may take its place.
MEASURED = """
SELECT t.kind, c.partitions
FROM spocdb.embedding_tables t JOIN spocdb.collections c ON c.id = t.collection_id
WHERE t.collection_id = %s AND t.projection_id = %s
"""

# Locks the collection row FOR SHARE; whoever puts an index or parts in place locks it FOR UPDATE.
LOCK = "SELECT spocdb.lock_collection(%s)"

FORGET = """
WITH forgotten AS (
    DELETE FROM spocdb.recalls
    WHERE collection_id = %(collection)s AND projection_id = %(projection)s)
UPDATE spocdb.embedding_tables SET recall = NULL, recall_settings = NULL
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

ADD = """
INSERT INTO spocdb.recalls (collection_id, projection_id, k, ef_search, recall)
VALUES (%s, %s, %s, %s, %s)
"""

# What a search for ten images does.
SUMMARISE = """
UPDATE spocdb.embedding_tables t
SET recall = r.recall,
    recall_settings = jsonb_build_object('k', r.k, 'ef_search', r.ef_search,
                                         'queries', %(queries)s::integer, 'rows', %(rows)s::bigint)
FROM spocdb.recalls r
WHERE t.collection_id = %(collection)s AND t.projection_id = %(projection)s
  AND r.collection_id = t.collection_id AND r.projection_id = t.projection_id AND r.k = %(k)s
  AND r.ef_search = spocdb.ef_search(t.collection_id, t.projection_id, %(k)s)
RETURNING t.recall
"""

IS_DUE = """
SELECT e.n >= %(fewest)s
   AND e.n >= %(growth)s * coalesce((t.recall_settings ->> 'rows')::bigint, 0)
FROM spocdb.embedding_tables t
CROSS JOIN spocdb.estimated_rows(spocdb.embedding_table(t.collection_id, t.projection_id)) e (n)
WHERE t.collection_id = %(collection)s AND t.projection_id = %(projection)s
"""

SET_WANTED = "UPDATE spocdb.collections SET recall = %s WHERE id = %s"


def measure(connection: Connection, collection: Collection, projection_id: int) -> float | None:
    """Measure an index against exact scans and store its recalls; searches use them from then on.

    Returns the recall@10 of a search for ten, 0 to 1; None for fewer than two images.

    Raises:
        DatabaseError: The embeddings were dropped meanwhile.
    """
    before: tuple[Kind | None, int] | None = None
    found = None
    while True:
        with connection.transaction():
            # From here on no other index takes its place.
            connection.execute(LOCK, [collection.id])
            now = _measured(connection, collection, projection_id)
            if found is not None and now == before:
                return store(connection, collection, projection_id, found)
        # Measured for the first time, or of an index that is there no more.
        before, kind = now, now[0] or "hnsw-vector"
        found = curves.curve(connection, collection, projection_id, kind)
        if found is None:
            return None


def store(
    connection: Connection, collection: Collection, projection_id: int, found: Curve
) -> float:
    """Store what was measured; return the recall@10 of a search for ten. In a transaction."""
    values = {
        "collection": collection.id,
        "projection": projection_id,
        "queries": found.n_queries,
        # Not counted here: this would lock the table before the row, and a move does it after it.
        "rows": found.n_images,
        "k": curves.KS[0],
    }
    connection.execute(FORGET, values)
    with connection.cursor() as cursor:
        cursor.executemany(ADD, [(collection.id, projection_id, *row) for row in found.recalls])
    return float(one_row(connection, SUMMARISE, values)[0])


def _measured(
    connection: Connection, collection: Collection, projection_id: int
) -> tuple[Kind | None, int]:
    """Return the kind and the partitions of an index."""
    row = connection.execute(MEASURED, [collection.id, projection_id]).fetchone()
    if row is None:
        raise DatabaseError(
            f"the embeddings of {collection.name} by projection {projection_id} were dropped "
            "meanwhile: see `db.pca.list()`"
        )
    return row[0], row[1]


def forget(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Forget what was measured of an index, because another one takes its place."""
    connection.execute(FORGET, {"collection": collection.id, "projection": projection_id})


def is_due(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether a large index was never measured, or has grown by a quarter since."""
    values = {"collection": collection.id, "projection": projection_id}
    return bool(one_row(connection, IS_DUE, values | {"fewest": FEWEST, "growth": GROWTH})[0])


def want(connection: Connection, collection: Collection, recall: float) -> None:
    """Set the recall that the searches of a collection shall have."""
    connection.execute(SET_WANTED, [recall, collection.id])


def wanted(connection: Connection, collection: Collection) -> float:
    """Return the recall that the searches of a collection shall have."""
    statement = "SELECT recall FROM spocdb.collections WHERE id = %s"
    return float(one_row(connection, statement, [collection.id])[0])
