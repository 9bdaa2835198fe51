"""Working collections: descriptors that are searched for a moment and leave nothing behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.sql import SQL, Identifier

from spocdb.db import batches, collections, images, indexes
from spocdb.db.batches import Batch, NewDescriptor, Project
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ConfigError
from spocdb.records import Float32Array, Recipe, SourceFile

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

FORGET = (
    "DELETE FROM spocdb.descriptors WHERE extractor_id = %s",
    "DELETE FROM spocdb.projections WHERE extractor_id = %s",
    "DELETE FROM spocdb.extractors WHERE id = %s",
)


@contextmanager
def opened(
    connection: Connection, name: str, recipe: Recipe, channels: int
) -> Iterator[Collection]:
    """Make a collection with an extractor of its own; both go in the end, whatever happens.

    What a killed process left of this name goes before. Raises ConfigError if the collection of
    this name is somebody's own.
    """
    if left := collections.find(connection, name):
        if left.recipe.weights != name:
            raise ConfigError(f"the name {name} is needed for a moment: drop that collection first")
        _forget(connection, left)
    collection = collections.create(connection, name, replace(recipe, weights=name), channels)
    try:
        yield collection
    finally:
        _forget(connection, collection)


def _forget(connection: Connection, collection: Collection) -> None:
    with connection.transaction():
        collections.drop(connection, collection)
        for statement in FORGET:
            connection.execute(statement, [collection.extractor_id])


def fill(
    connection: Connection,
    collection: Collection,
    descriptors: Float32Array,
    labels: Sequence[str],
    project: Project,
) -> None:
    """Write raw descriptors (n, C) as images 0 to n - 1 with labels, and build the index."""
    batches.prepare(connection)
    for start in range(0, len(labels), BATCH_ROWS):
        rows = range(start, min(start + BATCH_ROWS, len(labels)))
        keys = {i: i.to_bytes(32, "big") for i in rows}
        new = {keys[i]: NewDescriptor(1, 1, descriptors[i]) for i in rows}
        files = [(SourceFile(str(i), 0, 0), keys[i]) for i in rows]
        batches.write(connection, collection, Batch(files, new), project)
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
