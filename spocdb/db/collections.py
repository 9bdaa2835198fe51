"""Extractors and collections: make them, find them, list them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb import checks
from spocdb.db.connections import Connection, one_row
from spocdb.errors import CollectionNotFound, ConfigError, ProjectionNotFound
from spocdb.records import Recipe
from spocdb.settings import DEFAULT_COLLECTION
from spocdb.wording import counted

# Each search looks into all partitions.
MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of images, bound to one extractor; `channels` is the raw descriptor's C.

    `partitions` is how many tables hold its embeddings by a projection.
    """

    id: int
    name: str
    extractor_id: int
    channels: int
    recipe: Recipe
    active_projection_id: int
    previous_projection_id: int | None
    partitions: int


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """One line of `spocdb collections list`."""

    name: str
    extractor: str
    n_images: int
    n_failures: int
    projection: int
    dim: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ExtractorSummary:
    """One extractor that the database knows; `parentage` is what a trained one was made from."""

    name: str
    dim: int
    recipe: Recipe
    parentage: dict[str, Any] | None
    collections: list[str]
    n_descriptors: int


FIND = """
SELECT c.id, c.name, c.extractor_id, e.dim, e.recipe, c.active_projection_id,
       c.previous_projection_id, c.partitions
FROM spocdb.collections c JOIN spocdb.extractors e ON e.id = c.extractor_id
WHERE c.name = %s
"""

EXTRACTOR_OF = """
SELECT e.id, e.dim, e.recipe
FROM spocdb.embedding_tables t
JOIN spocdb.projections p ON p.id = t.projection_id
JOIN spocdb.extractors e ON e.id = p.extractor_id
WHERE t.collection_id = %s AND t.projection_id = %s
"""

LIST = """
SELECT c.name, e.name AS extractor, c.active_projection_id AS projection, p.dim, c.created_at,
       (SELECT count(*) FROM spocdb.images i WHERE i.collection_id = c.id) AS n_images,
       (SELECT count(*) FROM spocdb.failures f WHERE f.collection_id = c.id) AS n_failures
FROM spocdb.collections c
JOIN spocdb.extractors e ON e.id = c.extractor_id
JOIN spocdb.projections p ON p.id = c.active_projection_id
ORDER BY c.name
"""

LIST_EXTRACTORS = """
SELECT e.name, e.dim, e.recipe, e.parentage,
       ARRAY(SELECT c.name FROM spocdb.collections c WHERE c.extractor_id = e.id ORDER BY 1)
           AS collections,
       (SELECT count(*) FROM spocdb.descriptors d WHERE d.extractor_id = e.id) AS n_descriptors
FROM spocdb.extractors e ORDER BY e.name
"""

RECIPES = "SELECT recipe FROM spocdb.extractors ORDER BY name"

ADD_EXTRACTOR = """
SELECT spocdb.add_extractor(
    %(name)s, %(fingerprint)s, %(recipe)s, %(dim)s, %(parentage)s)
"""

CREATE = "SELECT spocdb.create_collection(%s, %s, %s)"

LOCK = "SELECT FROM spocdb.collections WHERE id = %s FOR UPDATE"


def find(connection: Connection, name: str) -> Collection | None:
    """Return the collection of this name, or None.

    Raises:
        InvalidValue: the name is no text.
    """
    row = connection.execute(FIND, [checks.text("collection", name)]).fetchone()
    if row is None:
        return None
    id_, name, extractor_id, channels, recipe, *others = row
    return Collection(id_, name, extractor_id, channels, Recipe(**recipe), *others)


def get(connection: Connection, name: str | None) -> Collection:
    """Return the collection of this name; without a name the only collection, or the default one.

    Raises:
        CollectionNotFound: there is no such collection; the message names the existing ones.
        InvalidValue: the name is no text.
    """
    if found := find(connection, _unnamed(connection) if name is None else name):
        return found
    names = _names(connection)
    if not names:
        raise CollectionNotFound(
            "there is no collection yet: run `db.ingest(FOLDER)` or `db.tables.attach(TABLE)` first"
        )
    known = ", ".join(names)
    if name is None:
        raise CollectionNotFound(
            f"name one of the collections with `collection=...`: {known}", field="collection"
        )
    quoted = name or repr(name)
    raise CollectionNotFound(f"there is no collection named {quoted}; there are: {known}")


def _unnamed(connection: Connection) -> str:
    """Return the collection that counts where none is named. An empty name is a mistake."""
    names = _names(connection)
    return names[0] if len(names) == 1 else DEFAULT_COLLECTION


def some(connection: Connection, name: str | None) -> list[Collection]:
    """Return the collection of this name; without a name all collections, by name.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    if name is not None:
        return [get(connection, name)]
    return [found for one in _names(connection) if (found := find(connection, one))]


def _names(connection: Connection) -> list[str]:
    return [
        name for (name,) in connection.execute("SELECT name FROM spocdb.collections ORDER BY 1")
    ]


def as_if_active(
    connection: Connection, collection: Collection, projection: int | None
) -> Collection:
    """Return the collection as it would be with a kept projection active, None for the active one.

    The projection may belong to another extractor: after a re-embedding the old ones are kept.

    Raises:
        ProjectionNotFound: the collection has no embeddings by this projection.
        InvalidValue: its number is no integer.
    """
    if projection is None:
        return collection
    number = checks.projection(projection)
    row = connection.execute(EXTRACTOR_OF, [collection.id, number]).fetchone()
    if row is None:
        raise ProjectionNotFound(
            f"collection {collection.name} has no embeddings by projection {projection}: "
            "see `db.pca.list()`"
        )
    extractor_id, channels, recipe = row
    return replace(
        collection,
        extractor_id=extractor_id,
        channels=channels,
        recipe=Recipe(**recipe),
        active_projection_id=projection,
    )


def create(
    connection: Connection, name: str, recipe: Recipe, channels: int, partitions: int = 1
) -> Collection:
    """Create an empty collection, and its extractor if new; return an existing one unchanged.

    Raises:
        ConfigError: the name is not allowed.
    """
    with connection.transaction():
        # Locks spocdb.extractors, so no other process creates the same collection meanwhile.
        extractor = add_extractor(connection, recipe, channels)
        if find(connection, name) is None:
            connection.execute(CREATE, [name, extractor, partitions])
    return get(connection, name)


def check_partitions(collection: Collection | None, partitions: int | None) -> None:
    """Check a number of partitions for a collection, None for a new one; no number is always right.

    Raises:
        ConfigError: the collection has another number.
        InvalidValue: it is out of range.
    """
    if partitions is not None:
        checks.whole("partitions", partitions, 1, MOST_PARTITIONS)
    if collection is None or partitions in (None, collection.partitions):
        return
    raise ConfigError(
        f"collection {collection.name} has {counted(collection.partitions, 'partition')}: run "
        f"`db.index.build(collection={collection.name!r}, partitions={partitions})` to change that",
        field="partitions",
    )


def add_extractor(
    connection: Connection,
    recipe: Recipe,
    channels: int,
    parentage: dict[str, Any] | None = None,
) -> int:
    """Store an extractor with its raw projection unless it exists; return its id.

    `parentage` is what a trained extractor was made from; that of an existing one stays unchanged.
    """
    values = {
        "name": recipe.name,
        "fingerprint": recipe.fingerprint,
        "recipe": Jsonb(asdict(recipe)),
        "dim": channels,
        "parentage": None if parentage is None else Jsonb(parentage),
    }
    return int(one_row(connection, ADD_EXTRACTOR, values)[0])


def hold(connection: Connection, collection: Collection) -> None:
    """Lock the collection row until the transaction ends. Blocks writers, not searches."""
    connection.execute(LOCK, [collection.id])


@contextmanager
def try_exclusive(connection: Connection, collection: Collection) -> Iterator[bool]:
    """Try to hold the collection's advisory lock for the block; yield whether it was free."""
    key = [f"spocdb.collections.{collection.id}"]
    (is_alone,) = one_row(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)
    try:
        yield bool(is_alone)
    finally:
        if is_alone:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def drop(connection: Connection, collection: Collection) -> None:
    """Drop a collection, its images and its embeddings; raw descriptors stay for reuse."""
    connection.execute("SELECT spocdb.drop_collection(%s)", [collection.id])


def summaries(connection: Connection) -> list[CollectionSummary]:
    """List all collections by name."""
    with connection.cursor(row_factory=class_row(CollectionSummary)) as cursor:
        return cursor.execute(LIST).fetchall()


def recipes(connection: Connection) -> list[Recipe]:
    """List the recipes of the extractors that the role may see, by name."""
    return [Recipe(**recipe) for (recipe,) in connection.execute(RECIPES)]


def extractor_summaries(connection: Connection) -> list[ExtractorSummary]:
    """List the extractors that the database knows."""
    return [
        ExtractorSummary(name, dim, Recipe(**recipe), *others)
        for name, dim, recipe, *others in connection.execute(LIST_EXTRACTORS)
    ]
