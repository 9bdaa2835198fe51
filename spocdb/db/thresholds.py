"""Calibrating: which contents are compared, and the thresholds that are stored."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.thumbnails import Content
from spocdb.errors import RightMissing
from spocdb.thresholds import Rule


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How near near-duplicates of a collection are by a projection.

    Up to `picture` two images show the same picture, up to `scene` they may show the same scene;
    they show the same picture, too, if their signatures differ in at most `bits` bits. `settings`
    say how that was measured.
    """

    picture: float
    scene: float
    bits: int | None
    settings: dict[str, Any]
    calibrated_at: datetime


FIND = """
SELECT picture, scene, bits, settings, calibrated_at FROM spocdb.duplicate_thresholds
WHERE collection_id = %s AND projection_id = %s
"""

MAY_STORE = """
SELECT has_table_privilege('spocdb.duplicate_thresholds', 'INSERT')
   AND has_table_privilege('spocdb.duplicate_thresholds', 'UPDATE')
"""

STORE = """
INSERT INTO spocdb.duplicate_thresholds
    (collection_id, projection_id, picture, scene, bits, settings)
VALUES (%(collection)s, %(projection)s, %(picture)s, %(scene)s, %(bits)s, %(settings)s)
ON CONFLICT (collection_id, projection_id) DO UPDATE
SET picture = excluded.picture, scene = excluded.scene, bits = excluded.bits,
    settings = excluded.settings, calibrated_at = now()
"""

# In the order of a hash with the seed: a random choice, and the same one for the same seed.
SAMPLE = """
SELECT i.id, %(name)s, i.path, encode(i.sha256, 'hex') FROM (
    SELECT DISTINCT ON (sha256) id, path, sha256 FROM spocdb.images
    WHERE collection_id = %(collection)s ORDER BY sha256, id
) i
ORDER BY sha256(i.sha256 || convert_to(%(seed)s::text, 'UTF8')) LIMIT %(n)s
"""

IMAGES = """
SELECT id, %s, path, encode(sha256, 'hex') FROM spocdb.images WHERE id = ANY (%s)
"""

# One image of each content.
DECIDED = """
SELECT DISTINCT ON (d.a, d.b) i.id, j.id AS other_id, d.a, d.b, d.verdict
FROM spocdb.duplicate_decisions d
JOIN spocdb.images i ON i.collection_id = %(collection)s AND i.sha256 = d.a
JOIN spocdb.images j ON j.collection_id = %(collection)s AND j.sha256 = d.b
ORDER BY d.a, d.b, i.id, j.id
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about two contents of a collection, and an image of each."""

    id: int
    other_id: int
    a: bytes
    b: bytes
    verdict: str


def find(connection: Connection, collection: Collection) -> Thresholds | None:
    """Return the thresholds of a collection by its active projection, if they were measured."""
    values = [collection.id, collection.active_projection_id]
    with connection.cursor(row_factory=class_row(Thresholds)) as cursor:
        return cursor.execute(FIND, values).fetchone()


def check_rights(connection: Connection) -> None:
    """Refuse a role that may not store thresholds, before they are measured.

    Raises:
        RightMissing: the role may not write to spocdb.duplicate_thresholds.
    """
    if not one_row(connection, MAY_STORE)[0]:
        raise RightMissing(
            f"the role {connection.info.user} may not store thresholds "
            "(spocdb.duplicate_thresholds): ask the owner of spocdb to calibrate"
        )


def store(
    connection: Connection, collection: Collection, rule: Rule, settings: dict[str, Any]
) -> None:
    """Store the thresholds of a collection's active projection in place of earlier ones."""
    values = {
        "collection": collection.id,
        "projection": collection.active_projection_id,
        **asdict(rule),
        "settings": Jsonb(settings),
    }
    connection.execute(STORE, values)


def sample(connection: Connection, collection: Collection, n: int, seed: int) -> list[Content]:
    """Return an image of each of up to n contents, chosen by a seed."""
    values = {"name": collection.name, "collection": collection.id, "seed": seed, "n": n}
    return [Content(*row) for row in connection.execute(SAMPLE, values)]


def images(
    connection: Connection, collection: Collection, ids: Iterable[int]
) -> dict[int, Content]:
    """Return images by id; those that are gone are left out."""
    rows = connection.execute(IMAGES, [collection.name, list(ids)])
    return {row[0]: Content(*row) for row in rows}


def decided(connection: Connection, collection: Collection) -> list[Decided]:
    """List the decisions about contents that the collection has."""
    with connection.cursor(row_factory=class_row(Decided)) as cursor:
        return cursor.execute(DECIDED, {"collection": collection.id}).fetchall()
