"""Near-duplicates: what is to be compared, pairs of contents, and groups of images.

A content is what images of the same bytes have in common, named by its sha256. Pairs are of
contents, so that many copies of the same bytes cost nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Identifier, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.keepers import Term


@dataclass(frozen=True, slots=True)
class DuplicateSearch:
    """How the duplicates of a collection are found.

    Contents up to `distance` from each other are a pair; None: only images of the same bytes are
    duplicates. `keep` is the keeper rule.
    """

    distance: float | None
    keep: str


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a group, and its distance from the group's keeper."""

    image: int
    keeper: int
    distance: float


# Two contents and their distance.
Pair = tuple[bytes, bytes, float]

# NO KEY: ingests may note changes meanwhile, which refer to this row.
LOCK = """
SELECT distance, keep FROM spocdb.duplicate_searches
WHERE collection_id = %s AND projection_id = %s FOR NO KEY UPDATE
"""

PUT = """
INSERT INTO spocdb.duplicate_searches (collection_id, projection_id, distance, keep)
VALUES (%s, %s, %s, %s)
ON CONFLICT (collection_id, projection_id) DO UPDATE
SET distance = excluded.distance, keep = excluded.keep
"""

SEARCHES = "SELECT projection_id FROM spocdb.duplicate_searches WHERE collection_id = %s ORDER BY 1"

NOTE_ALL = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT DISTINCT collection_id, %s::bigint, sha256 FROM spocdb.images WHERE collection_id = %s
"""

NOTE_PAIR = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT s.collection_id, s.projection_id, c.sha256
FROM spocdb.duplicate_searches s, unnest(%s::bytea[]) c (sha256)
WHERE EXISTS (SELECT FROM spocdb.images i
              WHERE i.collection_id = s.collection_id AND i.sha256 = c.sha256)
"""

TAKE = """
DELETE FROM spocdb.duplicate_changes WHERE id IN (
    SELECT id FROM spocdb.duplicate_changes
    WHERE collection_id = %s AND projection_id = %s ORDER BY id LIMIT %s
) RETURNING sha256
"""

N_DUE = """
SELECT count(DISTINCT sha256) FROM spocdb.duplicate_changes
WHERE collection_id = %s AND projection_id = %s
"""

FORGET_PAIRS = """
DELETE FROM spocdb.duplicate_pairs
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
  AND (a = ANY (%(contents)s) OR b = ANY (%(contents)s))
RETURNING a, b
"""

TABLE = """
SELECT spocdb.embedding_table(t.collection_id, t.projection_id),
       format('%%s(%%s)', t.index_type, p.dim)
FROM spocdb.embedding_tables t JOIN spocdb.projections p ON p.id = t.projection_id
WHERE t.collection_id = %s AND t.projection_id = %s
"""

# One image of each content, and the nearest embeddings by the index, whose expression this is.
NEAREST = """
WITH asked AS (
    SELECT DISTINCT ON (i.sha256) i.sha256, e.embedding
    FROM spocdb.images i JOIN spocdb.{table} e ON e.image_id = i.id
    WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
    ORDER BY i.sha256, i.id
)
SELECT a.sha256, i.sha256, greatest(n.distance, 0)
FROM asked a
CROSS JOIN LATERAL (
    SELECT e.image_id, 1 + (e.embedding::{type} <#> a.embedding::{type}) AS distance
    FROM spocdb.{table} e ORDER BY e.embedding::{type} <#> a.embedding::{type} LIMIT {k}
) n
JOIN spocdb.images i ON i.id = n.image_id
"""

ADD_PAIRS = """
INSERT INTO spocdb.duplicate_pairs (collection_id, projection_id, a, b, distance)
SELECT %s, %s, n.a, n.b, min(n.distance)
FROM unnest(%s::bytea[], %s::bytea[], %s::double precision[]) n (a, b, distance)
GROUP BY n.a, n.b
ON CONFLICT (collection_id, projection_id, a, b) DO NOTHING
"""

EDGES = """
SELECT one, other, min(distance) FROM spocdb.duplicate_edges
WHERE collection_id = %s AND projection_id = %s AND one = ANY (%s) GROUP BY one, other
"""

IN_ORDER = """
SELECT i.id, i.sha256 FROM spocdb.images i
WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
ORDER BY {rule} i.path COLLATE "C"
"""

FORGET_MEMBERS = """
DELETE FROM spocdb.duplicate_members
WHERE collection_id = %s AND projection_id = %s AND image_id = ANY (%s)
"""

ADD_MEMBERS = """
INSERT INTO spocdb.duplicate_members (collection_id, projection_id, image_id, keeper_id, distance)
SELECT %s, %s, n.* FROM unnest(%s::bigint[], %s::bigint[], %s::double precision[]) n
"""

ORDERS = {
    "pixels": SQL("i.width::bigint * i.height DESC"),
    "bytes": SQL("i.size DESC"),
    "newest": SQL("i.ingested_at DESC"),
    "oldest": SQL("i.ingested_at"),
    "folder": SQL("starts_with(i.path, {value} || '/') DESC"),
    "suffix": SQL("lower(i.path) LIKE '%.' || {value} DESC"),
    "key": SQL("i.metadata -> {value} DESC NULLS LAST"),
}
REVERSED = {
    "pixels": SQL("i.width::bigint * i.height"),
    "bytes": SQL("i.size"),
    "newest": SQL("i.ingested_at"),
    "oldest": SQL("i.ingested_at DESC"),
    "folder": SQL("starts_with(i.path, {value} || '/')"),
    "suffix": SQL("lower(i.path) LIKE '%.' || {value}"),
    "key": SQL("i.metadata -> {value} NULLS LAST"),
}


def lock(connection: Connection, collection: Collection, projection: int) -> DuplicateSearch | None:
    """Return a search and hold it for this transaction; None if there is none."""
    row = connection.execute(LOCK, [collection.id, projection]).fetchone()
    return DuplicateSearch(*row) if row else None


def begin(
    connection: Connection, collection: Collection, projection: int, search: DuplicateSearch
) -> None:
    """Store how to search; all contents have to be compared, or compared again."""
    connection.execute(PUT, [collection.id, projection, search.distance, search.keep])
    connection.execute(NOTE_ALL, [projection, collection.id])


def searches(connection: Connection, collection: Collection) -> list[int]:
    """List the projections by which duplicates of a collection are found."""
    return [number for (number,) in connection.execute(SEARCHES, [collection.id])]


def note(connection: Connection, contents: Sequence[bytes]) -> None:
    """Note contents to be compared again, in every collection that has them."""
    connection.execute(NOTE_PAIR, [list(contents)])


def n_due(connection: Connection, collection: Collection, projection: int) -> int:
    """Return how many contents have to be compared."""
    return int(one_row(connection, N_DUE, [collection.id, projection])[0])


def take(connection: Connection, collection: Collection, projection: int, n: int) -> list[bytes]:
    """Take up to n contents that have to be compared; they are due again if this is rolled back."""
    rows = connection.execute(TAKE, [collection.id, projection, n])
    return sorted({sha256 for (sha256,) in rows})


def forget_pairs(
    connection: Connection, collection: Collection, projection: int, contents: list[bytes]
) -> set[bytes]:
    """Delete the pairs of contents; return the contents of these pairs."""
    values = {"collection": collection.id, "projection": projection, "contents": contents}
    return {one for row in connection.execute(FORGET_PAIRS, values) for one in row}


def nearest(
    connection: Connection, collection: Collection, projection: int, contents: list[bytes], k: int
) -> Iterator[Pair]:
    """Yield for each content the contents of the k nearest images, its own ones among them."""
    table, kind = one_row(connection, TABLE, [collection.id, projection])
    statement = SQL(NEAREST).format(
        table=Identifier(table),
        type=SQL(kind),
        collection=Literal(collection.id),
        contents=Literal(contents),
        k=Literal(k),
    )
    yield from connection.execute(statement)


def add_pairs(
    connection: Connection, collection: Collection, projection: int, pairs: Iterable[Pair]
) -> None:
    """Store pairs, in whatever order their contents are given."""
    ordered = [(min(a, b), max(a, b), distance) for a, b, distance in pairs]
    if ordered:
        connection.execute(
            ADD_PAIRS, [collection.id, projection, *map(list, zip(*ordered, strict=True))]
        )


def edges(
    connection: Connection, collection: Collection, projection: int, contents: Iterable[bytes]
) -> list[Pair]:
    """Return the pairs of contents with all others, as decisions leave them."""
    values = [collection.id, projection, list(contents)]
    return connection.execute(EDGES, values).fetchall()


def in_order(
    connection: Connection, collection: Collection, contents: list[bytes], rule: Sequence[Term]
) -> list[tuple[int, bytes]]:
    """Return the images of contents, with these, in the order of a keeper rule."""
    statement = SQL(IN_ORDER).format(
        collection=Literal(collection.id), contents=Literal(contents), rule=_ordered(rule)
    )
    return connection.execute(statement).fetchall()


def _ordered(rule: Sequence[Term]) -> Composable:
    terms = [
        (REVERSED if term.is_reversed else ORDERS)[term.kind].format(
            value=Literal(term.value.rstrip("/") if term.kind == "folder" else term.value)
        )
        for term in rule
    ]
    return SQL("").join(SQL("{}, ").format(term) for term in terms)


def regroup(
    connection: Connection,
    collection: Collection,
    projection: int,
    images: list[int],
    members: Sequence[Member],
) -> None:
    """Replace the groups that some images are in; those of `members` are among these images."""
    connection.execute(FORGET_MEMBERS, [collection.id, projection, images])
    columns = (
        [member.image for member in members],
        [member.keeper for member in members],
        [member.distance for member in members],
    )
    connection.execute(ADD_MEMBERS, [collection.id, projection, *columns])
