"""Database-side augmentation: add to each embedding its nearest neighbours."""

import logging
from dataclasses import replace

from spocdb import checks
from spocdb.db import collections, embeddings, indexes, projections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import ConfigError, DatabaseError
from spocdb.wording import counted

log = logging.getLogger(__name__)

# Upper bounds of the two parameters.
MOST_NEIGHBOURS, MOST_ALPHA = 1000, 100


def augment(
    connection: Connection,
    collection: Collection,
    neighbours: int,
    alpha: float,
) -> int:
    """Add to each embedding its nearest neighbours, and activate the result; return its number.

    Database-side augmentation (Turcot & Lowe 2009), weighted as in alpha query expansion. The
    result is a new projection with the numbers of the active one, so that `rollback` undoes it.
    Images that are ingested later are embedded without neighbours. To include them, roll back and
    augment again.

    Raises:
        ConfigError: The active projection is raw or augmented, or a parameter is out of range.
        DatabaseError: Another projection was activated meanwhile.
    """
    base = projections.load(connection, collection.active_projection_id)
    if not len(base.components) or "augmented" in base.settings:
        raise ConfigError(
            f"projection {collection.active_projection_id} of {collection.name} cannot be "
            "augmented: activate a fitted one first (`db.pca.list()`, `db.pca.rollback()`)"
        )
    neighbours = checks.whole("neighbours", neighbours, 1, MOST_NEIGHBOURS)
    alpha = checks.number("alpha", alpha, 0, MOST_ALPHA)
    augmented = {
        "collection": collection.name,
        "base": collection.active_projection_id,
        "neighbours": neighbours,
        "alpha": alpha,
    }
    projection = replace(base, settings=base.settings | {"augmented": augmented})
    about = projections.get(connection, collection.active_projection_id).fitted_on
    number = projections.store(connection, collection.extractor_id, projection, about)
    # Embeddings of an earlier augmentation may lack images that were ingested since.
    if collection.name in projections.get(connection, number).embedded:
        embeddings.drop(connection, collection, number)
    embeddings.add(connection, collection, number)
    n_rows = 0
    for n in embeddings.augment(connection, collection, number, neighbours, alpha):
        n_rows += n
        log.info("projection %s: %s augmented", number, counted(n_rows, "image"))
    now = collections.get(connection, collection.name)
    if now.active_projection_id != collection.active_projection_id:
        raise DatabaseError(
            f"another projection of {collection.name} was activated meanwhile: try again"
        )
    indexes.build(connection, collection, number)
    embeddings.activate(connection, collection, number)
    return number
