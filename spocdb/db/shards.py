"""A collection on several servers: what each of them is asked, and what is deleted there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row

# Two addresses of one database have the same. Any role may ask.
IDENTITY = "SELECT pg_postmaster_start_time(), current_database()"

# Contents are spread evenly, so that these show whether others belong here, too.
N_SAMPLED = 100

SAMPLE = """
SELECT path, sha256 FROM spocdb.images WHERE collection_id = %s ORDER BY path LIMIT %s
"""

COPIES = """
SELECT id, path, sha256, metadata FROM spocdb.images WHERE collection_id = %s AND path = ANY(%s)
"""

FAILED = "SELECT path FROM spocdb.failures WHERE collection_id = %s AND path = ANY(%s)"

# By their bytes too: another ingest may have stored newer ones at this path meanwhile.
DELETE = """
DELETE FROM spocdb.images i USING unnest(%s::bigint[], %s::bytea[]) AS gone (id, sha256)
WHERE i.id = gone.id AND i.sha256 = gone.sha256
"""

FINGERPRINT = "SELECT fingerprint FROM spocdb.projections WHERE id = %s"

KEPT = """
SELECT t.projection_id FROM spocdb.embedding_tables t
JOIN spocdb.projections p ON p.id = t.projection_id
WHERE t.collection_id = %s AND p.extractor_id = %s AND p.fingerprint = %s
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """An image that a server has at a path."""

    id: int
    path: str
    sha256: bytes
    metadata: dict[str, Any]


def identity(connection: Connection) -> tuple[Any, ...]:
    """Return what no other database has."""
    return one_row(connection, IDENTITY)


def sample(connection: Connection, collection: Collection) -> list[tuple[str, bytes]]:
    """Return the path and sha256 of some images, none if there are none."""
    return connection.execute(SAMPLE, [collection.id, N_SAMPLED]).fetchall()


def copies(connection: Connection, collection: Collection, paths: Sequence[str]) -> list[Copy]:
    """Return the images at some paths."""
    return [Copy(*row) for row in connection.execute(COPIES, [collection.id, list(paths)])]


def failed(connection: Connection, collection: Collection, paths: Sequence[str]) -> list[str]:
    """Return those of some paths that have a stored failure."""
    return [path for (path,) in connection.execute(FAILED, [collection.id, list(paths)])]


def delete(connection: Connection, gone: Sequence[Copy]) -> None:
    """Delete images, if they still have these bytes."""
    connection.execute(DELETE, [[one.id for one in gone], [one.sha256 for one in gone]])


def fingerprint(connection: Connection, projection_id: int) -> str:
    """Return the fingerprint of a projection's numbers, the same on all servers."""
    return str(one_row(connection, FINGERPRINT, [projection_id])[0])


def kept(connection: Connection, collection: Collection, fingerprint: str) -> int | None:
    """Return the number of a projection of the collection's extractor that embeds it here."""
    values = [collection.id, collection.extractor_id, fingerprint]
    row = connection.execute(KEPT, values).fetchone()
    return None if row is None else int(row[0])
