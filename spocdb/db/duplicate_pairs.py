"""Pairs of contents that are near each other, and what was decided about pairs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Literal

from spocdb.db.connections import Connection
from spocdb.db.spaces import Space
from spocdb.db.thumbnails import Content
from spocdb.stars import Pair


@dataclass(frozen=True, slots=True)
class Near:
    """A content among the nearest images of another one, or the content itself.

    `n_images` of the nearest ones have these bytes; `distance` is the least, `farthest` the largest
    distance of them.
    """

    content: bytes
    other: bytes
    distance: float
    farthest: float
    n_images: int


# One image of each content, and the nearest embeddings by the index, whose expression this is.
NEAREST = """
WITH asked AS (
    SELECT DISTINCT ON (i.sha256) i.sha256, e.embedding
    FROM spocdb.images i JOIN spocdb.{table} e ON e.image_id = i.id
    WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
    ORDER BY i.sha256, i.id
)
SELECT a.sha256, i.sha256, greatest(min(n.distance), 0), greatest(max(n.distance), 0), count(*)
FROM asked a
CROSS JOIN LATERAL (
    SELECT e.image_id, 1 + (e.embedding::{kind} <#> a.embedding::{kind}) AS distance
    FROM spocdb.{table} e ORDER BY e.embedding::{kind} <#> a.embedding::{kind} LIMIT {k}
) n
JOIN spocdb.images i ON i.id = n.image_id
GROUP BY a.sha256, i.sha256
"""

# What is farther by now, or gone; the embeddings of a content do not change.
FORGET = """
DELETE FROM spocdb.duplicate_pairs p
WHERE p.collection_id = %(collection)s AND p.projection_id = %(projection)s
  AND (p.a = ANY (%(contents)s) OR p.b = ANY (%(contents)s))
  AND (p.distance <= %(distance)s IS NOT TRUE
       OR NOT EXISTS (SELECT FROM spocdb.images i
                      WHERE i.collection_id = p.collection_id AND i.sha256 = p.a)
       OR NOT EXISTS (SELECT FROM spocdb.images i
                      WHERE i.collection_id = p.collection_id AND i.sha256 = p.b))
RETURNING p.a, p.b
"""

ADD = """
INSERT INTO spocdb.duplicate_pairs (collection_id, projection_id, a, b, distance)
SELECT %(collection)s, %(projection)s, n.a, n.b, min(n.distance)
FROM unnest(%(a)s::bytea[], %(b)s::bytea[], %(distances)s::double precision[]) n (a, b, distance)
GROUP BY n.a, n.b
ON CONFLICT (collection_id, projection_id, a, b) DO NOTHING
"""

EDGES = """
SELECT one, other, min(distance) FROM spocdb.duplicate_edges
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
  AND one = ANY (%(contents)s)
GROUP BY one, other
"""

# Of pairs that are duplicates only if their signatures agree. One image of each content.
UNSIGNED = """
SELECT DISTINCT ON (i.sha256) i.id, %(name)s, i.path, encode(i.sha256, 'hex')
FROM spocdb.duplicate_searches s
JOIN spocdb.duplicate_pairs p USING (collection_id, projection_id)
JOIN spocdb.images i ON i.collection_id = p.collection_id AND i.sha256 IN (p.a, p.b)
WHERE s.collection_id = %(collection)s AND s.projection_id = %(projection)s
  AND p.distance > s.near AND s.bits IS NOT NULL
  AND NOT EXISTS (SELECT FROM spocdb.thumbnails t
                  WHERE t.sha256 = i.sha256 AND t.signature_version = %(version)s)
ORDER BY i.sha256, i.id
"""

DECIDED = """
SELECT a, b, verdict = 'same' FROM spocdb.duplicate_decisions
WHERE a = ANY (%(contents)s) AND b = ANY (%(contents)s)
"""


def nearest(
    connection: Connection, space: Space, contents: Sequence[bytes], k: int
) -> Iterator[Near]:
    """Yield for each content the contents of the k nearest images, its own ones among them."""
    statement = SQL(NEAREST).format(contents=Literal(list(contents)), k=Literal(k), **space.names)
    yield from (Near(*row) for row in connection.execute(statement))


def forget(
    connection: Connection, space: Space, contents: Sequence[bytes], distance: float | None
) -> set[bytes]:
    """Delete pairs of contents that are none by now; return the contents of these pairs."""
    values = space.key | {"contents": list(contents), "distance": distance}
    return {one for row in connection.execute(FORGET, values) for one in row}


def add(connection: Connection, space: Space, pairs: Iterable[Pair]) -> None:
    """Store pairs, in whatever order their contents are given."""
    ordered = [(min(a, b), max(a, b), distance) for a, b, distance in pairs]
    columns = [list(column) for column in zip(*ordered, strict=True)] or [[], [], []]
    names = ("a", "b", "distances")
    connection.execute(ADD, space.key | dict(zip(names, columns, strict=True)))


def edges(connection: Connection, space: Space, contents: Iterable[bytes]) -> list[Pair]:
    """Return the pairs of contents with all others, as decisions leave them."""
    return connection.execute(EDGES, space.key | {"contents": list(contents)}).fetchall()


def decided(connection: Connection, contents: Sequence[bytes]) -> tuple[set[frozenset[bytes]], ...]:
    """Return the pairs of contents that were decided to be the same, and to be kept apart."""
    rows = connection.execute(DECIDED, {"contents": list(contents)}).fetchall()
    same = {frozenset((a, b)) for a, b, is_same in rows if is_same}
    return same, {frozenset((a, b)) for a, b, is_same in rows if not is_same}


def unsigned(connection: Connection, space: Space, version: int) -> list[Content]:
    """Return the contents of pairs for which signatures count, and that have none of a version."""
    values = space.key | {"name": space.collection.name, "version": version}
    return [Content(*row) for row in connection.execute(UNSIGNED, values)]
