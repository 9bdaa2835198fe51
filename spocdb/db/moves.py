"""Moved or renamed files: an image whose path is gone takes the new path of its bytes.

Runs on the staged images of a batch, before they are merged. A moved image keeps its id, metadata
and embeddings.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from spocdb.db.connections import Connection

# Tells whether there is a file at a stored path.
IsThere = Callable[[str], bool]

# The most copies of one content to check on the disk: a placeholder picture may have a million.
MOST_COPIES = 1000

# Staged paths that are new to the collection, with its images of the same bytes.
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

# Advisory lock of a collection until the batch commits: two ingests that lock the same images in
# different orders would deadlock.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('spocdb.moves'), hashint8(%s))"

# `i.path = m.gone` leaves out images that another ingest moved meanwhile.
MOVE = """
UPDATE spocdb.images i SET path = m.path
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS m (id, gone, path)
WHERE i.id = m.id AND i.path = m.gone
RETURNING i.id
"""


@dataclass(slots=True)
class Moves:
    """The test whether a stored path still exists, and the number of committed moves."""

    is_there: IsThere
    n_moved: int = 0

    def follow(
        self, connection: Connection, collection_id: int, known: Sequence[bytes]
    ) -> set[int]:
        """Move images whose file is gone to staged paths with the same bytes; return their ids.

        `known` are the sha256 of the staged images that were stored before this batch. Each image
        moves to at most one path; a path that is left over becomes a new image.
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
        # A concurrent writer inserted one of the new paths. No image is moved; the merge handles
        # all paths.
        return set()


def _paired(paths: Sequence[str], gone: Sequence[tuple[int, str]]) -> list[tuple[int, str, str]]:
    """Pair paths with gone images of the same bytes, equal file names first."""
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
