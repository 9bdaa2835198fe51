"""Which contents have to be grouped, and the groups of images around keepers."""

from collections.abc import Iterable, Sequence

from psycopg.sql import SQL, Composable, Literal

from spocdb.db.connections import Connection, one_row
from spocdb.db.spaces import Space
from spocdb.keepers import Term
from spocdb.stars import Member

# Contents that the collection does not have join no others.
SAME = """
WITH other (sha256) AS (
    SELECT d.b FROM spocdb.duplicate_decisions d
    WHERE d.a = ANY (%(contents)s) AND d.verdict = 'same'
    UNION
    SELECT d.a FROM spocdb.duplicate_decisions d
    WHERE d.b = ANY (%(contents)s) AND d.verdict = 'same'
)
SELECT o.sha256 FROM other o
WHERE EXISTS (SELECT FROM spocdb.images i
              WHERE i.sha256 = o.sha256 AND +i.collection_id = %(collection)s OFFSET 0)
"""

ANALYZE = """
ANALYZE spocdb.images, spocdb.duplicate_changes, spocdb.duplicate_pairs,
    spocdb.duplicate_ungrouped, spocdb.duplicate_members, spocdb.duplicate_decisions
"""

JUDGED = """
SELECT d.a, d.b FROM spocdb.duplicate_decisions d
WHERE d.a = ANY (%(contents)s) OR d.b = ANY (%(contents)s)
"""

NOTE = """
INSERT INTO spocdb.duplicate_ungrouped (collection_id, projection_id, sha256)
SELECT DISTINCT %(collection)s::bigint, %(projection)s::bigint, c.sha256
FROM unnest(%(contents)s::bytea[]) c (sha256)
ON CONFLICT (collection_id, projection_id, sha256) DO NOTHING
"""

# Those that have or had something to be grouped with.
TO_GROUP = """
SELECT i.sha256 FROM spocdb.images i
WHERE i.sha256 = ANY (%(contents)s) AND i.collection_id = %(collection)s
GROUP BY i.sha256 HAVING count(*) > 1
UNION
SELECT m.sha256 FROM spocdb.duplicate_members m
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s
  AND m.sha256 = ANY (%(contents)s)
"""

NOTE_ALL = """
INSERT INTO spocdb.duplicate_ungrouped (collection_id, projection_id, sha256)
SELECT m.collection_id, m.projection_id, m.sha256 FROM spocdb.duplicate_members m
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s
UNION
SELECT e.collection_id, e.projection_id, e.one FROM spocdb.duplicate_edges e
WHERE e.collection_id = %(collection)s AND e.projection_id = %(projection)s
ON CONFLICT (collection_id, projection_id, sha256) DO NOTHING
"""

N_UNGROUPED = """
SELECT count(*) FROM spocdb.duplicate_ungrouped
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""

TAKE = """
DELETE FROM spocdb.duplicate_ungrouped
WHERE collection_id = %(collection)s AND projection_id = %(projection)s AND sha256 IN (
    SELECT sha256 FROM spocdb.duplicate_ungrouped
    WHERE collection_id = %(collection)s AND projection_id = %(projection)s AND place IS NOT NULL
    ORDER BY place LIMIT %(n)s)
RETURNING sha256
"""

# Contents without images come first.
PLACE = """
UPDATE spocdb.duplicate_ungrouped u SET place = coalesce(p.place, 0)
FROM spocdb.duplicate_ungrouped w
LEFT JOIN (
    SELECT o.sha256, min(o.place) AS place FROM (
        SELECT i.sha256, row_number() OVER (ORDER BY {order}) AS place
        FROM spocdb.images i JOIN spocdb.duplicate_ungrouped d USING (collection_id, sha256)
        LEFT JOIN spocdb.duplicate_choices c ON c.kept = i.sha256 AND c.rejected = ''
        WHERE d.collection_id = {collection} AND d.projection_id = {projection}) o
    GROUP BY o.sha256) p ON p.sha256 = w.sha256
WHERE w.collection_id = {collection} AND w.projection_id = {projection}
  AND u.collection_id = {collection} AND u.projection_id = {projection} AND u.sha256 = w.sha256
"""

STORED = """
SELECT image_id, sha256, keeper_id, distance FROM spocdb.duplicate_members
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
  AND sha256 = ANY (%(contents)s)
"""

IN_ORDER = """
SELECT i.id, i.sha256 FROM spocdb.images i
LEFT JOIN spocdb.duplicate_choices c ON c.kept = i.sha256 AND c.rejected = ''
WHERE i.collection_id = {collection} AND i.sha256 = ANY ({contents})
ORDER BY {order}
"""

FORGET_MEMBERS = """
DELETE FROM spocdb.duplicate_members
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
  AND sha256 = ANY (%(contents)s)
"""

ADD_MEMBERS = """
INSERT INTO spocdb.duplicate_members
    (collection_id, projection_id, image_id, keeper_id, sha256, distance)
SELECT %(collection)s, %(projection)s, n.*
FROM unnest(%(images)s::bigint[], %(keepers)s::bigint[], %(contents)s::bytea[],
            %(distances)s::double precision[])
     n (image_id, keeper_id, sha256, distance)
ON CONFLICT (collection_id, projection_id, image_id) DO UPDATE
SET keeper_id = excluded.keeper_id, sha256 = excluded.sha256, distance = excluded.distance
"""

# A keeper has a row of its own while another image is in its group. OFFSET 0 looks each one up.
FORGET_ALONE = """
DELETE FROM spocdb.duplicate_members m
WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s
  AND m.image_id = ANY (%(keepers)s) AND m.keeper_id = m.image_id
  AND NOT EXISTS (SELECT FROM spocdb.duplicate_members o
                  WHERE o.collection_id = m.collection_id AND o.projection_id = m.projection_id
                    AND o.keeper_id = m.image_id AND o.image_id <> m.image_id OFFSET 0)
"""

ADD_KEEPERS = """
INSERT INTO spocdb.duplicate_members
    (collection_id, projection_id, image_id, keeper_id, sha256, distance)
SELECT i.collection_id, %(projection)s, i.id, i.id, i.sha256, 0 FROM spocdb.images i
WHERE i.id = ANY (%(keepers)s) AND i.collection_id = %(collection)s
  AND EXISTS (SELECT FROM spocdb.duplicate_members o
              WHERE o.collection_id = %(collection)s AND o.projection_id = %(projection)s
                AND o.keeper_id = i.id AND o.image_id <> i.id OFFSET 0)
ON CONFLICT (collection_id, projection_id, image_id) DO NOTHING
"""

# By each kind of term: what comes first is larger.
LARGER = {
    "pixels": SQL("i.width::bigint * i.height"),
    "bytes": SQL("i.size"),
    "newest": SQL("i.ingested_at"),
    "oldest": SQL("- extract(epoch FROM i.ingested_at)"),
    "folder": SQL("starts_with(i.path, rtrim({value}, '/') || '/')"),
    "suffix": SQL("right(lower(i.path), 1 + length({value})) = lower('.' || {value})"),
    "key": SQL("i.metadata -> {value}"),
}


def analyze(connection: Connection) -> None:
    """Run ANALYZE on what grows while duplicates are found; only the owner of the tables can."""
    connection.execute(ANALYZE)


def united(connection: Connection, space: Space, contents: Iterable[bytes]) -> set[bytes]:
    """Return contents with all that were decided to be the same, by way of others too."""
    found, reached = {*contents}, {*contents}
    while reached:
        rows = connection.execute(SAME, space.key | {"contents": [*reached]})
        reached = {sha256 for (sha256,) in rows} - found
        found |= reached
    return found


def judged(connection: Connection, contents: Iterable[bytes]) -> set[bytes]:
    """Return the contents of all decisions about some of these."""
    rows = connection.execute(JUDGED, {"contents": list(contents)})
    return {sha256 for row in rows for sha256 in row}


def note(connection: Connection, space: Space, contents: Iterable[bytes]) -> None:
    """Note contents that have to be grouped."""
    connection.execute(NOTE, space.key | {"contents": list(contents)})


def note_all(connection: Connection, space: Space) -> None:
    """Note all contents that are near others, or in groups."""
    connection.execute(NOTE_ALL, space.key)


def n_ungrouped(connection: Connection, space: Space) -> int:
    """Return how many contents have to be grouped."""
    return int(one_row(connection, N_UNGROUPED, space.key)[0])


def to_group(connection: Connection, space: Space, contents: Iterable[bytes]) -> set[bytes]:
    """Return the contents that have several images, or are in groups."""
    rows = connection.execute(TO_GROUP, space.key | {"contents": list(contents)})
    return {sha256 for (sha256,) in rows}


def take(connection: Connection, space: Space, n: int, rule: Sequence[Term]) -> list[bytes]:
    """Take up to n contents that have to be grouped, in the order of the keeper rule.

    What is noted meanwhile comes after those that were noted before. If this is rolled back, they
    have to be grouped again.
    """
    taken = _take(connection, space, n)
    if not taken:
        statement = SQL(PLACE).format(
            order=_ordered(rule), projection=Literal(space.projection), **space.names
        )
        connection.execute(statement)
        taken = _take(connection, space, n)
    return taken


def _take(connection: Connection, space: Space, n: int) -> list[bytes]:
    rows = connection.execute(TAKE, space.key | {"n": n})
    return [sha256 for (sha256,) in rows]


def stored(connection: Connection, space: Space, contents: Iterable[bytes]) -> list[Member]:
    """Return the images of contents that are in groups."""
    rows = connection.execute(STORED, space.key | {"contents": list(contents)})
    return [Member(*row) for row in rows]


def in_order(
    connection: Connection, space: Space, contents: Iterable[bytes], rule: Sequence[Term]
) -> list[tuple[int, bytes]]:
    """Return the images of contents, with these, in the order of a keeper rule."""
    statement = SQL(IN_ORDER).format(
        contents=Literal(list(contents)), order=_ordered(rule), **space.names
    )
    return connection.execute(statement).fetchall()


def _ordered(rule: Sequence[Term]) -> Composable:
    """Return the order of images: what a person chose comes first, the latest choice before."""
    directions = {False: SQL(" DESC NULLS LAST, "), True: SQL(" ASC NULLS LAST, ")}
    by_rule = [
        LARGER[term.kind].format(value=Literal(term.value)) + directions[term.is_reversed]
        for term in rule
    ]
    chosen, last = SQL("c.decided_at DESC NULLS LAST, "), SQL('i.path COLLATE "C"')
    return SQL("").join([chosen, *by_rule, last])


def put(
    connection: Connection,
    space: Space,
    contents: Iterable[bytes],
    members: Sequence[Member],
    keepers: Iterable[int],
) -> None:
    """Replace the groups that images of contents are in; `members` are images of these.

    `keepers` are those that images of the contents had before.
    """
    connection.execute(FORGET_MEMBERS, space.key | {"contents": list(contents)})
    columns = {
        "images": [one.image for one in members],
        "keepers": [one.keeper for one in members],
        "contents": [one.content for one in members],
        "distances": [one.distance for one in members],
    }
    connection.execute(ADD_MEMBERS, space.key | columns)
    every = {*keepers, *(one.keeper for one in members)}
    touched = space.key | {"keepers": [*every]}
    connection.execute(FORGET_ALONE, touched)
    connection.execute(ADD_KEEPERS, touched)
