"""Working collections: what evaluations, trainings and benchmarks search, and leave no trace of.

Each is marked by an advisory lock, which goes with the process. A working collection whose lock is
free was left by a process that died.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.sql import SQL, Identifier

from spocdb.db import collections, images, indexes, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection, one_row
from spocdb.db.leftovers import TRY_LOCK, UNLOCK
from spocdb.db.writing import Project
from spocdb.errors import ConfigError
from spocdb.records import Float32Array, ImageRef, NewDescriptor, Recipe

BATCH_ROWS = 1024
# The search's own limit for reading off the index.
MOST_NEIGHBOURS = 1000

# The nearest of other labels. Of its own label an image can have so many nearer ones at most.
HARD_NEGATIVES = """
SELECT a.path::bigint, n.path::bigint
FROM {view} a
CROSS JOIN LATERAL (
    SELECT s.path, s.distance FROM spocdb.search(%(name)s, a.embedding, %(k)s) s
    WHERE s.metadata -> 'label' <> a.metadata -> 'label'
    ORDER BY s.distance, s.id LIMIT %(n)s
) n
ORDER BY a.path::bigint, n.distance
"""

NAMES = "SELECT name FROM spocdb.collections ORDER BY 1"

# Fitted on working collections alone, and in use by nobody.
FORGET_FITTED = """
DELETE FROM spocdb.projections p
WHERE p.kind = 'pca' AND p.fitted_on -> 'collections' ?| %s
  AND NOT EXISTS (SELECT FROM spocdb.embedding_tables t WHERE t.projection_id = p.id)
"""

# An evaluation's gallery and training images: see evaluation/evaluate.py.
OF_EVALUATION = re.compile(r"(eval-[0-9a-f]{8})-(gallery|train)")

FORGET = (
    "DELETE FROM spocdb.descriptors WHERE extractor_id = %s",
    "DELETE FROM spocdb.projections WHERE extractor_id = %s",
    "DELETE FROM spocdb.extractors WHERE id = %s",
)


@contextmanager
def marked(connection: Connection, mark: str) -> Iterator[None]:
    """Let everybody see that the working collections of a mark are in use until the block ends.

    Raises ConfigError if another program has marked them.
    """
    if not _lock(connection, mark):
        raise ConfigError(f"another program is at {mark}: run the same command when it is done")
    try:
        yield
    finally:
        if not connection.closed:
            _unlock(connection, mark)


@contextmanager
def opened(
    connection: Connection, name: str, recipe: Recipe, channels: int
) -> Iterator[Collection]:
    """Make a collection with an extractor of its own; both go in the end, whatever happens.

    What a killed process left of this name goes before. Raises ConfigError if the collection of
    this name is somebody's own, or in use by another process.
    """
    with marked(connection, name):
        if before := collections.find(connection, name):
            if not _is_working(before):
                raise ConfigError(
                    f"the name {name} is needed for a moment: drop that collection first"
                )
            _forget(connection, before)
        recipe = replace(recipe, weights=name)
        collection = collections.create(connection, name, recipe, channels)
        try:
            yield collection
        finally:
            _forget(connection, collection)


def left(connection: Connection) -> list[str]:
    """Return the names of the working collections whose process died."""
    found = []
    for (name,) in connection.execute(NAMES).fetchall():
        collection = collections.get(connection, name)
        if (mark := _mark(collection)) and _lock(connection, mark):
            _unlock(connection, mark)
            found.append(name)
    return found


def drop_left(connection: Connection) -> list[str]:
    """Drop the working collections whose process died; return their names."""
    names = left(connection)
    for name in names:
        collection = collections.get(connection, name)
        if _is_working(collection):
            _forget(connection, collection)
        else:
            collections.drop(connection, collection)
    connection.execute(FORGET_FITTED, [names])
    return names


def _mark(collection: Collection) -> str | None:
    """Return the mark of a working collection, None for somebody's own."""
    if _is_working(collection):
        return collection.name
    match = OF_EVALUATION.fullmatch(collection.name)
    return match[1] if match else None


def _is_working(collection: Collection) -> bool:
    # No weights file has such a name instead of a sha256.
    return collection.recipe.weights == collection.name


def _lock(connection: Connection, mark: str) -> bool:
    return bool(one_row(connection, TRY_LOCK, [f"spocdb.working.{mark}"])[0])


def _unlock(connection: Connection, mark: str) -> None:
    connection.execute(UNLOCK, [f"spocdb.working.{mark}"])


def _forget(connection: Connection, collection: Collection) -> None:
    with connection.transaction():
        collections.drop(connection, collection)
        for statement in FORGET:
            connection.execute(statement, [collection.extractor_id])


def store(
    connection: Connection,
    collection: Collection,
    descriptors: Float32Array,
    labels: Sequence[str],
    project: Project,
) -> None:
    """Write raw descriptors (n, C) as images 0 to n - 1 with labels, and build the index."""
    writing.make_staging(connection)
    for start in range(0, len(labels), BATCH_ROWS):
        rows = range(start, min(start + BATCH_ROWS, len(labels)))
        keys = {i: i.to_bytes(32, "big") for i in rows}
        new = {keys[i]: NewDescriptor(1, 1, descriptors[i]) for i in rows}
        refs = [(ImageRef(str(i)), keys[i]) for i in rows]
        writing.write(connection, collection, Batch(refs, new), project)
    images.stage_metadata(connection, ((str(i), {"label": x}) for i, x in enumerate(labels)))
    images.apply_metadata(connection, collection)
    indexes.build(connection, collection, collection.active_projection_id)


def hard_negatives(
    connection: Connection, collection: Collection, n: int, largest_class: int
) -> dict[int, list[int]]:
    """Return for each image the n nearest ones of other labels, nearest first.

    Fewer where more than `MOST_NEIGHBOURS` of its own label are nearer.
    """
    statement = SQL(HARD_NEGATIVES).format(view=Identifier("spocdb", collection.name))
    k = min(n + largest_class, MOST_NEIGHBOURS)
    found: dict[int, list[int]] = {}
    for image, negative in connection.execute(statement, {"name": collection.name, "k": k, "n": n}):
        found.setdefault(image, []).append(negative)
    return found
