"""Files that were moved or renamed: the image of a path that is gone takes the new path.

Asked of the staged images of a batch, before they are merged. Its id, metadata and embeddings stay
as they are.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from spocdb.db.engine import Connection

# Tells whether there is a file at a stored path.
IsThere = Callable[[str], bool]

# Of one content no more are looked for on the disk: of a picture that stands for "none" there may
# be a million copies.
MOST_COPIES = 1000

# Paths that the collection does not have, with the images of the same bytes that it does have.
CANDIDATES = """
SELECT u.paths, x.ids, x.paths
FROM (
    SELECT n.sha256, array_agg(n.path ORDER BY n.path) AS paths FROM incoming_images n
    WHERE n.sha256 = ANY (%(known)s) AND NOT EXISTS (
        SELECT FROM spocdb.images i WHERE i.collection_id = %(collection)s AND i.path = n.path)
    GROUP BY n.sha256
) u
JOIN LATERAL (
    SELECT array_agg(c.id) AS ids, array_agg(c.path) AS paths FROM (
        SELECT i.id, i.path FROM spocdb.images i
        WHERE i.sha256 = u.sha256 AND i.collection_id = %(collection)s LIMIT %(most)s) c
) x ON x.ids IS NOT NULL
"""

# One ingest at a time follows moves in a collection, until its batch is committed: two that lock
# the same images in different orders would wait for each other.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('spocdb.moves'), hashint8(%s))"

# An image that another ingest moved meanwhile has another path by now, and is left alone.
MOVE = """
UPDATE spocdb.images i SET path = m.path
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS m (id, gone, path)
WHERE i.id = m.id AND i.path = m.gone
RETURNING i.id
"""


@dataclass(slots=True)
class Moves:
    """What tells whether a stored path is gone, and how many images were moved and committed."""

    is_there: IsThere
    n_moved: int = 0

    def follow(
        self, connection: Connection, collection_id: int, known: Sequence[bytes]
    ) -> set[int]:
        """Give images whose file is gone the staged paths that have their bytes; return their ids.

        `known` are the sha256 of the staged images that were stored before this batch. Each image
        is given one path at most; a path that is left over becomes a new image.
        """
        if not known:
            return set()
        values = {"collection": collection_id, "known": list(known), "most": MOST_COPIES}
        moves: list[tuple[int, str, str]] = []
        for paths, ids, stored in connection.execute(CANDIDATES, values).fetchall():
            images = zip(ids, stored, strict=True)
            moves += _paired(paths, [image for image in images if not self.is_there(image[1])])
        return _move(connection, collection_id, moves) if moves else set()


def _move(
    connection: Connection, collection_id: int, moves: Sequence[tuple[int, str, str]]
) -> set[int]:
    connection.execute(LOCK, [collection_id])
    try:
        with connection.transaction():
            columns = [list(column) for column in zip(*moves, strict=True)]
            return {row[0] for row in connection.execute(MOVE, columns)}
    except psycopg.errors.UniqueViolation:
        # Another program brought one of the new paths in this moment: all become images of their
        # own, or are those of the other program.
        return set()


def _paired(paths: Sequence[str], gone: Sequence[tuple[int, str]]) -> list[tuple[int, str, str]]:
    """Pair paths with gone images of the same bytes, those of the same file name first."""
    by_name: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for image in sorted(gone, reverse=True):
        by_name[os.path.basename(image[1])].append(image)
    pairs, others = [], []
    for path in paths:
        if same := by_name.get(os.path.basename(path)):
            pairs.append((*same.pop(), path))
        else:
            others.append(path)
    left = sorted(image for images in by_name.values() for image in images)
    return pairs + [(*image, path) for path, image in zip(others, left, strict=False)]
