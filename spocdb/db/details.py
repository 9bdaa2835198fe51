"""All that is known about one collection: `spocdb collections show`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from spocdb.db import indexes, maps, metadata
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.indexes import IndexStatus
from spocdb.db.maps import CollectionMap
from spocdb.db.metadata import KeyCount
from spocdb.records import Recipe


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role may do with the view of a collection."""

    role: str
    privileges: list[str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the view of a collection."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class AttachedTable:
    """The table that is attached to a collection; see spocdb.sources.

    A reader is not shown `root` and `condition`.
    """

    relation: str
    key_column: str
    key_type: str
    image_column: str
    kind: str
    root: str | None
    condition: str | None
    metadata: list[str]
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Projected:
    """A projection of a collection: the active one, or the one before it."""

    id: int
    kind: str
    dim: int
    n_samples: int
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CollectionDetails:
    """A collection; `n_contents` counts distinct bytes, `keys` are the keys of the metadata."""

    name: str
    created_at: datetime
    n_images: int
    n_contents: int
    n_failures: int
    extractor: str
    recipe: Recipe
    active: Projected
    previous: Projected | None
    indexes: list[IndexStatus]
    maps: list[CollectionMap]
    table: AttachedTable | None
    keys: list[KeyCount]
    columns: list[Column]
    owner: str
    grants: list[Grant]


COUNTS = """
SELECT c.created_at, e.name,
       (SELECT count(*) FROM spocdb.images i WHERE i.collection_id = c.id),
       (SELECT count(DISTINCT i.sha256) FROM spocdb.images i WHERE i.collection_id = c.id),
       (SELECT count(*) FROM spocdb.failures f WHERE f.collection_id = c.id)
FROM spocdb.collections c JOIN spocdb.extractors e ON e.id = c.extractor_id WHERE c.id = %s
"""

PROJECTED = "SELECT id, kind, dim, n_samples, settings FROM spocdb.projections WHERE id = %s"

TABLE = """
SELECT relation::text, key_column, key_type, image_column, kind, root, condition, metadata,
       allow_private
FROM spocdb.attached(%s)
"""

COLUMNS = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = format('spocdb.%%I', %s::text)::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""

OWNER = """
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = format('spocdb.%%I', %s::text)::regclass
"""

GRANTS = """
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS role,
       array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
FROM pg_class v, aclexplode(v.relacl) a
WHERE v.oid = format('spocdb.%%I', %s::text)::regclass AND a.grantee <> v.relowner
GROUP BY 1 ORDER BY 1
"""


def get(connection: Connection, collection: Collection) -> CollectionDetails:
    """Return all that is known about a collection; the counts are exact."""
    created_at, extractor, n_images, n_contents, n_failures = one_row(
        connection, COUNTS, [collection.id]
    )
    return CollectionDetails(
        collection.name,
        created_at,
        n_images,
        n_contents,
        n_failures,
        extractor,
        collection.recipe,
        Projected(*one_row(connection, PROJECTED, [collection.active_projection_id])),
        _previous(connection, collection),
        indexes.status(connection, collection.name),
        maps.stored(connection, collection),
        _table(connection, collection),
        metadata.counts(connection, collection),
        _columns(connection, collection),
        str(one_row(connection, OWNER, [collection.name])[0]),
        _grants(connection, collection),
    )


def _previous(connection: Connection, collection: Collection) -> Projected | None:
    if collection.previous_projection_id is None:
        return None
    row = connection.execute(PROJECTED, [collection.previous_projection_id]).fetchone()
    return None if row is None else Projected(*row)


def _table(connection: Connection, collection: Collection) -> AttachedTable | None:
    with connection.cursor(row_factory=class_row(AttachedTable)) as cursor:
        return cursor.execute(TABLE, [collection.name]).fetchone()


def _columns(connection: Connection, collection: Collection) -> list[Column]:
    with connection.cursor(row_factory=class_row(Column)) as cursor:
        return cursor.execute(COLUMNS, [collection.name]).fetchall()


def _grants(connection: Connection, collection: Collection) -> list[Grant]:
    with connection.cursor(row_factory=class_row(Grant)) as cursor:
        return cursor.execute(GRANTS, [collection.name]).fetchall()
