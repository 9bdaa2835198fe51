"""Pairs of contents that are near each other, and what was decided about pairs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Literal

from spocdb.db import kinds
from spocdb.db.connections import Connection
from spocdb.db.copy import Rows, copy_out
from spocdb.db.spaces import Space
from spocdb.db.thumbnails import Content
from spocdb.stars import Pair


@dataclass(frozen=True, slots=True)
class Near:
    """A content among the nearest ones of another, or the content itself."""

    content: bytes
    other: bytes
    distance: float


# The index is scanned until enough contents are found, however many images of the same bytes there
# are on the way. Without sequential scans the planner takes it, though it does not know that the
# LIMIT ends the scan; servers before 18 would compile such a plan.
SETTINGS = "SELECT spocdb.iterative_scan(); SET LOCAL enable_seqscan = off; SET LOCAL jit = off"

# A content is compared by its first image; the images in the order of the index, as far as the
# first k that are so. OFFSET 0 keeps the order inside. The plus signs leave the planner only the
# index of the hashes; without statistics others seem as good. What the index finds is compared by
# the embeddings themselves.
NEAREST = """
WITH asked AS (
    SELECT DISTINCT ON (i.sha256) i.sha256, e.embedding
    FROM spocdb.images i JOIN spocdb.{table} e ON e.image_id = i.id
    WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
    ORDER BY i.sha256, i.id
)
SELECT a.sha256, n.sha256, greatest(n.distance, 0)
FROM asked a
CROSS JOIN LATERAL (
    SELECT i.sha256, o.distance
    FROM (
        SELECT e.image_id, 1 + (e.embedding <#> a.embedding) AS distance
        FROM spocdb.{table} e ORDER BY {order} OFFSET 0
    ) o
    CROSS JOIN LATERAL (
        SELECT i.sha256 FROM spocdb.images i WHERE i.id = o.image_id
        AND NOT EXISTS (SELECT FROM spocdb.images f WHERE f.sha256 = i.sha256
                        AND +f.collection_id = {collection} AND +f.id < i.id OFFSET 0)
        OFFSET 0
    ) i
    LIMIT {taken}
) n
"""

# Only the bare operator matches the index; in a sum the scan is exact.
EXACTLY = SQL("0 + (e.embedding <#> a.embedding)")

# Images compared for each one that is asked for, and at least, where the index says little of each.
TIMES_BY_BITS, LEAST_BY_BITS = 10, 400

EMBEDDINGS = """
COPY (
    SELECT f.sha256, e.embedding FROM (
        SELECT i.sha256, min(i.id) AS id FROM spocdb.images i
        WHERE i.collection_id = {collection} GROUP BY i.sha256) f
    JOIN spocdb.{table} e ON e.image_id = f.id
) TO STDOUT (FORMAT binary)
"""

# The same distances as those of NEAREST.
ADD_NEAR = """
WITH near AS (
    SELECT DISTINCT least(n.a, n.b) AS a, greatest(n.a, n.b) AS b
    FROM unnest(%(a)s::bytea[], %(b)s::bytea[]) n (a, b)
), content AS MATERIALIZED (
    SELECT i.sha256, min(i.id) AS id FROM spocdb.images i
    WHERE i.collection_id = %(collection)s
      AND i.sha256 = ANY (%(contents)s)
    GROUP BY i.sha256
), compared AS (
    SELECT n.a, n.b, greatest(1 + (f.embedding <#> g.embedding), 0) AS distance
    FROM near n
    JOIN content c ON c.sha256 = n.a JOIN spocdb.{table} f ON f.image_id = c.id
    JOIN content d ON d.sha256 = n.b JOIN spocdb.{table} g ON g.image_id = d.id
)
INSERT INTO spocdb.duplicate_pairs (collection_id, projection_id, a, b, distance)
SELECT %(collection)s, %(projection)s, a, b, distance FROM compared
WHERE distance <= %(distance)s
ON CONFLICT (collection_id, projection_id, a, b) DO NOTHING
"""

# The embeddings of a content do not change. OFFSET 0 looks each one up.
GONE = """
SELECT c.sha256 FROM unnest(%(contents)s::bytea[]) c (sha256)
WHERE NOT EXISTS (SELECT FROM spocdb.images i
                  WHERE i.sha256 = c.sha256 AND +i.collection_id = %(collection)s OFFSET 0)
"""

FORGET = """
DELETE FROM spocdb.duplicate_pairs p
WHERE p.collection_id = %(collection)s AND p.projection_id = %(projection)s
  AND (p.a = ANY (%(gone)s) OR p.b = ANY (%(gone)s)
       OR (p.a = ANY (%(contents)s) OR p.b = ANY (%(contents)s))
          AND p.distance <= %(distance)s IS NOT TRUE)
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
    connection: Connection, space: Space, contents: Sequence[bytes], k: int, *, exact: bool = False
) -> Iterator[Near]:
    """Yield for each content the k nearest ones, or some more, itself among them.

    In a transaction. By the index they may be fewer: of what lies behind hundreds of images of the
    same bytes it knows nothing.
    """
    connection.execute(SETTINGS)
    order, taken = EXACTLY, k
    if not exact and space.kind:
        order = kinds.by_index(connection, space.kind, space.dim, "a.embedding")
        if space.kind in kinds.LOSSY:
            taken = max(LEAST_BY_BITS, TIMES_BY_BITS * k)
    statement = SQL(NEAREST).format(
        contents=Literal(list(contents)), taken=Literal(taken), order=order, **space.names
    )
    yield from (Near(*row) for row in connection.execute(statement))


def embeddings(connection: Connection, space: Space, n_rows: int) -> Iterator[Rows]:
    """Stream the contents and their embeddings, at most `n_rows` at a time, in any order."""
    layout = {"sha256": "sha256", "embedding": space.type}
    return copy_out(connection, SQL(EMBEDDINGS).format(**space.names), layout, n_rows)


def forget(
    connection: Connection, space: Space, contents: Sequence[bytes], distance: float | None
) -> set[bytes]:
    """Delete pairs of contents that are none by now; return the contents of these pairs."""
    values = space.key | {"contents": list(contents), "distance": distance}
    values["gone"] = [sha256 for (sha256,) in connection.execute(GONE, values)]
    return {one for row in connection.execute(FORGET, values) for one in row}


def add(connection: Connection, space: Space, pairs: Iterable[Pair]) -> None:
    """Store pairs, in whatever order their contents are given."""
    ordered = [(min(a, b), max(a, b), distance) for a, b, distance in pairs]
    columns = [list(column) for column in zip(*ordered, strict=True)] or [[], [], []]
    names = ("a", "b", "distances")
    connection.execute(ADD, space.key | dict(zip(names, columns, strict=True)))


def add_near(
    connection: Connection, space: Space, a: Sequence[bytes], b: Sequence[bytes], distance: float
) -> None:
    """Store those pairs of contents, one of each list, that are within a distance."""
    values = {"a": a, "b": b, "contents": [*{*a, *b}], "distance": distance}
    connection.execute(SQL(ADD_NEAR).format(**space.names), space.key | values)


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
