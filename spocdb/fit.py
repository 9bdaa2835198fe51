"""Projections in use: fit one on stored descriptors, build its embeddings, let it answer.

Nothing here reads an image or needs a GPU: all of it streams what the database holds.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from spocdb.db import collections, embeddings, images, indexes, projections
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ConfigError, NotEnoughSamples, ProjectionNotFound
from spocdb.features.projection import Moments, merge, project
from spocdb.features.projection import fit as fit_moments

DEFAULT_DIM = 256
# Fitted on fewer, whitening amplifies noise: at 256 dimensions that is four images for each.
AUTO_PCA_IMAGES = 1000

# So many descriptors are in memory at once; the sums are the same whatever it is.
CHUNK_ROWS = 4096

Say = Callable[[str], None]


def fit(
    connection: Connection,
    fitted_on: list[Collection],
    dim: int = DEFAULT_DIM,
    *,
    whiten: bool = True,
    centre: bool = True,
    regularisation: float = 0.0,
) -> int:
    """Fit a PCA on the distinct images of the collections; return the stored projection's number.

    One streaming pass, exact. The same images and settings give the same projection, which is
    stored once. Raises NotEnoughSamples, and ConfigError for collections of several extractors.
    """
    first = fitted_on[0]
    if any(c.extractor_id != first.extractor_id for c in fitted_on):
        names = ", ".join(f"{c.name} ({c.recipe.name})" for c in fitted_on)
        raise ConfigError(f"a PCA belongs to one extractor, these have several: {names}")
    moments = Moments.of(np.empty((0, first.channels), np.float32))
    digest = hashlib.sha256()
    ids = [c.id for c in fitted_on]
    for rows in projections.samples(
        connection, first.extractor_id, first.channels, ids, CHUNK_ROWS
    ):
        moments = merge(moments, Moments.of(rows["descriptor"].astype(np.float32)))
        digest.update(rows["sha256"].tobytes())
    fitted = fit_moments(moments, dim, whiten=whiten, centre=centre, regularisation=regularisation)
    about: dict[str, Any] = {
        "collections": sorted(c.name for c in fitted_on),
        "n_images": moments.count,
        # Of the sorted hashes of the images: tells whether two were fitted on the same ones.
        "images_sha256": digest.hexdigest(),
    }
    return projections.store(connection, first.extractor_id, fitted, about)


def activate(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    projection_id: int,
    say: Say = lambda line: None,
) -> None:
    """Embed a collection by a projection and let it answer by it.

    Searches go on with the old projection until the last moment, images that come meanwhile land
    in both; interrupted, the same call goes on. Raises ProjectionNotFound and DatabaseError.
    """
    projection = projections.load(connection, projection_id)
    embeddings.add(connection, collection, projection_id)
    n_rows = 0
    with connect() as reader:
        for n in embeddings.fill(
            reader, connection, collection, projection_id, lambda raw: project(raw, projection)
        ):
            n_rows += n
            say(f"projection {projection_id}: {n_rows} images embedded")
    if not indexes.exists(connection, collection, projection_id):
        say(f"projection {projection_id}: building the index")
        indexes.build(connection, collection, projection_id)
    embeddings.activate(connection, collection, projection_id)


def rollback(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    say: Say = lambda line: None,
) -> int:
    """Let the projection before answer again, at once; return its number. Twice is back again.

    Raises ProjectionNotFound if there is none before, or its embeddings were dropped.
    """
    previous = collection.previous_projection_id
    if previous is None:
        raise ProjectionNotFound(
            f"collection {collection.name} has no projection to go back to: see `spocdb pca list`"
        )
    activate(connection, connect, collection, previous, say)
    return previous


def settle(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    auto_pca: int = AUTO_PCA_IMAGES,
    say: Say = lambda line: None,
) -> None:
    """Put a collection in order after an ingest: its first PCA once there are `auto_pca` images
    (0: never), and an index."""
    # Asked anew: somebody may have activated another projection during the ingest.
    collection = collections.get(connection, collection.name)
    active = projections.get(connection, collection.active_projection_id)
    n_images = images.count_contents(connection, collection)
    dim = min(DEFAULT_DIM, collection.channels)
    if active.kind == "raw" and auto_pca and n_images >= max(auto_pca, dim + 1):
        try:
            projection_id = fit(connection, [collection], dim)
        except NotEnoughSamples as exc:
            say(f"no first PCA yet: {exc}")
        else:
            say(f"fitted projection {projection_id} on {n_images} images")
            activate(connection, connect, collection, projection_id, say)
            return
    if n_images and not indexes.exists(connection, collection, active.id):
        say("building the index")
        indexes.build(connection, collection, active.id)
