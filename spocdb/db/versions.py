"""The versions of a collection: the projections that embed it, or could."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.soundness import scarcity


@dataclass(frozen=True, slots=True)
class ProjectionVersion:
    """A projection as a version of one collection.

    `is_kept` tells that the collection keeps embeddings by it, `is_indexed` that these have their
    HNSW index, `is_previous` that a rollback leads to it. `explained` (N,) is each component's part
    of the total variance; it is empty for the raw projection. `fitted_on` is empty for a role that
    may not read all collections that it was fitted on.
    """

    number: int
    kind: str
    extractor: str
    dim: int
    n_samples: int
    settings: dict[str, Any]
    fitted_on: dict[str, Any]
    created_at: datetime
    is_active: bool
    is_previous: bool
    is_kept: bool
    is_indexed: bool
    explained: list[float]

    @property
    def scarcity(self) -> str | None:
        """Return that it was fitted on few images or pairs for its dimensions; None if not."""
        return scarcity(self.kind, self.dim, self.n_samples, self.settings, self.fitted_on)

    @property
    def n_pairs(self) -> int | None:
        """Return the number of matching pairs that a learned projection was fitted on."""
        return self.fitted_on.get("n_pairs")


# Augmentations only while they are kept: their embeddings are not made from descriptors alone.
LIST = """
WITH kept AS (
    SELECT t.projection_id,
           format('spocdb.%%I', spocdb.embedding_table(t.collection_id, t.projection_id))::regclass
               AS relation
    FROM spocdb.embedding_tables t WHERE t.collection_id = %(collection)s
)
SELECT p.id AS number, p.kind, e.name AS extractor, p.dim, p.n_samples, p.settings,
       spocdb.fitted_on(p.id) AS fitted_on, p.created_at,
       p.id = c.active_projection_id AS is_active,
       p.id IS NOT DISTINCT FROM c.previous_projection_id AS is_previous,
       k.projection_id IS NOT NULL AS is_kept,
       EXISTS (SELECT FROM pg_index v JOIN pg_class x ON x.oid = v.indexrelid
               JOIN pg_class r ON r.oid = v.indrelid
               WHERE r.oid = k.relation AND v.indisvalid AND x.relname = r.relname || '_hnsw')
           AS is_indexed,
       ARRAY(SELECT n.explained FROM spocdb.projection_components n
             WHERE n.projection_id = p.id ORDER BY n.position) AS explained
FROM spocdb.collections c
JOIN spocdb.projections p ON p.extractor_id = c.extractor_id
    OR p.extractor_id IN (SELECT o.extractor_id FROM spocdb.projections o
                          JOIN kept k ON k.projection_id = o.id)
JOIN spocdb.extractors e ON e.id = p.extractor_id
LEFT JOIN kept k ON k.projection_id = p.id
WHERE c.id = %(collection)s AND (k.projection_id IS NOT NULL OR NOT p.settings ? 'augmented')
ORDER BY p.id
"""


def versions(connection: Connection, collection: Collection) -> list[ProjectionVersion]:
    """List the projections of the extractors that a collection has embeddings by, oldest first."""
    with connection.cursor(row_factory=class_row(ProjectionVersion)) as cursor:
        return cursor.execute(LIST, {"collection": collection.id}).fetchall()
