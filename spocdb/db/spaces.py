"""Spaces: the embeddings of a collection by one projection, in which duplicates are looked for."""

from dataclasses import dataclass

from psycopg.sql import Composable, Identifier, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.kinds import Kind


@dataclass(frozen=True, slots=True)
class Space:
    """A collection and a projection that embeds it in `dim` dimensions.

    `table` has the embeddings; `type` is that of their column, such as vector(256); `kind` that of
    the index, None before the first one.
    """

    collection: Collection
    projection: int
    table: str
    type: str
    dim: int
    kind: Kind | None

    @property
    def key(self) -> dict[str, int]:
        """Return the values of `%(collection)s` and `%(projection)s` in statements."""
        return {"collection": self.collection.id, "projection": self.projection}

    @property
    def names(self) -> dict[str, Composable]:
        """Return the values of `{collection}` and `{table}` in statements."""
        return {
            "collection": Literal(self.collection.id),
            "table": Identifier(self.table),
        }


FIND = """
SELECT t.projection_id, spocdb.embedding_table(t.collection_id, t.projection_id),
       format('%%s(%%s)', t.column_type, p.dim), p.dim, t.kind
FROM spocdb.embedding_tables t JOIN spocdb.projections p ON p.id = t.projection_id
WHERE t.collection_id = %(collection)s
"""

OF = f"{FIND} AND t.projection_id = %(projection)s"

# Those of the collection's extractor: images have no embeddings by others, until one is active
# again. Until then their changes wait.
SEARCHED = f"""
{FIND}
  AND EXISTS (SELECT FROM spocdb.collections c
              WHERE c.id = t.collection_id AND c.extractor_id = p.extractor_id)
  AND EXISTS (SELECT FROM spocdb.duplicate_searches s
              WHERE s.collection_id = t.collection_id AND s.projection_id = t.projection_id)
ORDER BY t.projection_id
"""


def active(connection: Connection, collection: Collection) -> Space:
    """Return the space of a collection's active projection."""
    values = {"collection": collection.id, "projection": collection.active_projection_id}
    return Space(collection, *one_row(connection, OF, values))


def searched(connection: Connection, collection: Collection) -> list[Space]:
    """List the spaces of the collection's extractor in which duplicates are looked for."""
    rows = connection.execute(SEARCHED, {"collection": collection.id})
    return [Space(collection, *row) for row in rows]
