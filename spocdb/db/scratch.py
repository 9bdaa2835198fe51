"""Working collections: temporary collections of evaluations, trainings and benchmarks.

Each is marked by an advisory lock, which ends with its process. A working collection whose lock is
free was left by a process that died.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.sql import SQL, Identifier

from spocdb.db import collections, images, indexes, kinds, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.kinds import Kind
from spocdb.db.leftovers import TRY_LOCK, UNLOCK
from spocdb.db.writing import Project
from spocdb.errors import ConfigError
from spocdb.records import Float32Array, ImageRef, NewDescriptor, Recipe

BATCH_ROWS = 1024
# The most rows that a search reads from the index: pgvector's limit of ef_search.
MOST_NEIGHBOURS = 1000

# The nearest images of other labels. `k` is large enough if all images of its own label are nearer.
HARD_NEGATIVES = """
SELECT a.path::bigint, n.path::bigint
FROM {view} a
CROSS JOIN LATERAL (
    SELECT s.path, s.distance FROM spocdb.search(%(name)s, a.embedding::vector, %(k)s) s
    WHERE s.metadata -> 'label' <> a.metadata -> 'label'
    ORDER BY s.distance, s.id LIMIT %(n)s
) n
ORDER BY a.path::bigint, n.distance
"""

NAMES = "SELECT name FROM spocdb.collections ORDER BY 1"

# Projections fitted on working collections that no embedding table uses.
FORGET_FITTED = """
DELETE FROM spocdb.projections p
WHERE p.kind <> 'raw' AND p.fitted_on -> 'collections' ?| %s
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
    """Hold the advisory lock of a mark for the block: its working collections are in use.

    Raises:
        ConfigError: another program holds the lock.
    """
    if not _lock(connection, mark):
        raise ConfigError(f"another program uses {mark}: run the same command when it is done")
    try:
        yield
    finally:
        if not connection.closed:
            _unlock(connection, mark)


@contextmanager
def opened(
    connection: Connection, name: str, recipe: Recipe, channels: int
) -> Iterator[Collection]:
    """Create a collection with its own extractor for the block; drop both when it ends.

    First drops what a killed process left under this name.

    Raises:
        ConfigError: a user's collection has this name, or another process uses it.
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
    """Return the mark of a working collection, None for a user's collection."""
    if _is_working(collection):
        return collection.name
    match = OF_EVALUATION.fullmatch(collection.name)
    return match[1] if match else None


def _is_working(collection: Collection) -> bool:
    # `opened` writes the name into `weights`, where the recipe of a weights file has a sha256.
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
    number = collection.active_projection_id
    # Made for a moment, so nothing is measured to choose it.
    _, column = kinds.stored(connection, collection, number)
    kind: Kind = "hnsw-vector" if column == "vector" else "hnsw-halfvec"
    indexes.build(connection, collection, number, kind)


def hard_negatives(
    connection: Connection, collection: Collection, n: int, largest_class: int
) -> dict[int, list[int]]:
    """Return for each image the n nearest ones of other labels, nearest first.

    Fewer than n if the `MOST_NEIGHBOURS` nearest images have fewer of other labels.
    """
    statement = SQL(HARD_NEGATIVES).format(view=Identifier("spocdb", collection.name))
    k = min(n + largest_class, MOST_NEIGHBOURS)
    found: dict[int, list[int]] = {}
    for image, negative in connection.execute(statement, {"name": collection.name, "k": k, "n": n}):
        found.setdefault(image, []).append(negative)
    return found
