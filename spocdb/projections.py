"""Projections: fit one on stored descriptors, build its embeddings, activate it.

Only stored descriptors are streamed: no image is read, no GPU is needed.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np

from spocdb.db import collections, embeddings, images, indexes, kinds, projections, recalls
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.copy import Rows
from spocdb.db.leftovers import drop_left_indexes
from spocdb.db.rights import is_owner
from spocdb.errors import (
    ConfigError,
    DatabaseError,
    DescriptorError,
    NotEnoughSamples,
    ProjectionNotFound,
)
from spocdb.features import shrinkage
from spocdb.features.projection import Moments, advice, check_options, merge, project
from spocdb.features.projection import fit as fit_moments
from spocdb.features.shrinkage import N_FOLDS
from spocdb.records import Projection
from spocdb.settings import AUTO_PCA_IMAGES
from spocdb.soundness import fault
from spocdb.sources.names import printable
from spocdb.wording import counted

log = logging.getLogger(__name__)

# The part of the mean variance that is added to each variance; "auto": see features/shrinkage.py.
Regularisation = float | Literal["auto"]

DEFAULT_DIM = 256

# A collection's name has 63 bytes at most.
MOST_NAME_BYTES = 63

# Descriptors in memory at once. The sums do not depend on it.
CHUNK_ROWS = 4096


def fit(
    connection: Connection,
    fitted_on: list[Collection],
    dim: int = DEFAULT_DIM,
    *,
    whiten: bool = True,
    centre: bool = True,
    regularisation: Regularisation = 0.0,
) -> int:
    """Fit a PCA on the distinct images of the collections; return the stored projection's number.

    One exact streaming pass. The same images and settings give the same projection, which is stored
    once. With `regularisation` "auto" the amount is chosen by held-out likelihood, and stored. A
    warning is logged if dimensions or images are too few for good results.

    Raises:
        NotEnoughSamples: There are too few images for `dim` dimensions.
        ConfigError: The collections have several extractors, or an option is out of range.
        DescriptorError: The fitted numbers cannot be used, such as of descriptors not of length
            one.
    """
    check_extractor(fitted_on)
    fitted, sha256 = computed(
        *(samples_of(connection, fitted_on), fitted_on[0].channels, dim),
        whiten=whiten,
        centre=centre,
        regularisation=regularisation,
    )
    return keep(connection, fitted_on, fitted, sha256)


def computed(
    samples: Iterable[Rows],
    channels: int,
    dim: int,
    *,
    whiten: bool,
    centre: bool,
    regularisation: Regularisation,
) -> tuple[Projection, str]:
    """Compute a PCA of samples, sorted by sha256; return it with a hash of their hashes.

    Raises the errors of `fit`.
    """
    check_options(channels, dim, 0.0 if regularisation == "auto" else regularisation)
    n_folds = N_FOLDS if regularisation == "auto" and whiten else 0
    moments, folds, sha256 = moments_of(samples, channels, n_folds)
    if regularisation == "auto":
        # Without folds, because there is no whitening to shrink, it is zero.
        regularisation = shrinkage.chosen(folds, centre=centre)
    fitted = fit_moments(moments, dim, whiten=whiten, centre=centre, regularisation=regularisation)
    for line in advice(moments, fitted):
        log.warning("%s", line)
    return fitted, sha256


def check_extractor(fitted_on: list[Collection]) -> None:
    """Check that collections have the same extractor.

    Raises:
        ConfigError: They do not.
    """
    if any(c.extractor_id != fitted_on[0].extractor_id for c in fitted_on):
        names = ", ".join(f"{c.name} ({c.recipe.name})" for c in fitted_on)
        raise ConfigError(f"a projection belongs to one extractor, these have several: {names}")


def keep(
    connection: Connection,
    fitted_on: list[Collection],
    fitted: Projection,
    images_sha256: str,
    **counts: int,
) -> int:
    """Store a projection with what it was fitted on; return its number.

    Raises:
        DescriptorError: Its numbers cannot be used.
    """
    if found := fault(fitted, fitted_on[0].channels):
        raise DescriptorError(f"a projection fitted on these images cannot be used: {found}")
    about: dict[str, Any] = {
        "collections": sorted(c.name for c in fitted_on),
        "n_images": fitted.n_samples,
        # Hash of the images' sorted hashes: equal if two were fitted on the same images.
        "images_sha256": images_sha256,
        **counts,
    }
    return projections.store(connection, fitted_on[0].extractor_id, fitted, about)


def samples_of(connection: Connection, fitted_on: list[Collection]) -> Iterator[Rows]:
    """Stream the distinct images of collections, sorted by sha256, in chunks of one size."""
    first, ids = fitted_on[0], [c.id for c in fitted_on]
    return projections.samples(connection, first.extractor_id, first.channels, ids, CHUNK_ROWS)


def moments_of(
    samples: Iterable[Rows], channels: int, n_folds: int = 0
) -> tuple[Moments, list[Moments], str]:
    """Return the moments of samples and of `n_folds` parts, and a hash of the samples' hashes.

    One exact streaming pass.
    """
    none = Moments.of(np.empty((0, channels), np.float32))
    moments, folds = none, [none] * n_folds
    digest = hashlib.sha256()
    for rows in samples:
        descriptors = rows["descriptor"].astype(np.float32)
        # The parts do not add up to the very same numbers as the whole.
        moments = merge(moments, Moments.of(descriptors))
        # The rows are sorted by hash, so that every n-th is a random part.
        parts = (Moments.of(descriptors[fold::n_folds]) for fold in range(n_folds))
        folds = [merge(fold, part) for fold, part in zip(folds, parts, strict=True)]
        digest.update(rows["sha256"].tobytes())
    return moments, folds, digest.hexdigest()


def activate(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    projection_id: int,
) -> None:
    """Embed a collection with a projection and activate it.

    Searches use the old projection until the switch; images ingested meanwhile are embedded with
    both. After an interruption the same call continues. A projection of another extractor changes
    the collection's extractor.

    Raises:
        ProjectionNotFound: There is no such projection.
        ConfigError: It is an augmentation without embeddings of all the images.
        DatabaseError: Images have no raw descriptor of its extractor.
    """
    projection = projections.load(connection, projection_id)
    _refuse_undescribed(connection, collection, projection_id)
    if "augmented" in projection.settings:
        _refuse_incomplete(connection, collection, projection_id)
    build(connection, connect, collection, projection_id)
    embeddings.activate(connection, collection, projection_id)


def build(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    projection_id: int,
) -> None:
    """Embed a collection with a projection and build the index, without activating it."""
    _drop_left(connection)
    embeddings.add(connection, collection, projection_id)
    fill(connection, connect, collection, projection_id)
    if not indexes.exists(connection, collection, projection_id):
        log.info("projection %s: building the index", projection_id)
        indexes.build(connection, collection, projection_id, connect=connect)
    _measure(connection, collection, projection_id)


def fill(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    projection_id: int,
) -> None:
    """Embed the images that the projection's table lacks and that have a raw descriptor."""
    projection = projections.load(connection, projection_id)
    n_rows = 0
    with connect() as reader:
        for n in embeddings.fill(
            reader, connection, collection, projection_id, lambda raw: project(raw, projection)
        ):
            n_rows += n
            log.info("projection %s: %s embedded", projection_id, counted(n_rows, "image"))


def _refuse_incomplete(connection: Connection, collection: Collection, projection_id: int) -> None:
    # Missing embeddings of an augmentation cannot be computed from the descriptors alone.
    embedded = projections.get(connection, projection_id).embedded
    if collection.name not in embedded or not embeddings.is_complete(
        connection, collection, projection_id
    ):
        raise ConfigError(
            f"projection {projection_id} is an augmentation without all embeddings of "
            f"{collection.name}: run `db.pca.augment(collection={collection.name!r})`"
        )


def _refuse_undescribed(connection: Connection, collection: Collection, projection_id: int) -> None:
    extractor, n_images = embeddings.undescribed(connection, collection, projection_id)
    if n_images:
        raise DatabaseError(
            f"projection {projection_id} is of {extractor}, by which "
            f"{counted(n_images, 'image')} of {collection.name} "
            f"{'has' if n_images == 1 else 'have'} no descriptor: "
            f"run `db.reembed({extractor!r}, collection={collection.name!r})`"
        )


def rollback(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
) -> int:
    """Activate the previous projection; return its number. A second call undoes the first.

    Raises:
        ProjectionNotFound: There is no previous projection, or its embeddings were dropped.
    """
    previous = collection.previous_projection_id
    if previous is None:
        raise ProjectionNotFound(
            f"collection {collection.name} has no projection to go back to: see `db.pca.list()`"
        )
    activate(connection, connect, collection, previous)
    return previous


def settle(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    auto_pca: int = AUTO_PCA_IMAGES,
) -> None:
    """Fit a collection's first PCA after an ingest, and build a missing index.

    The PCA is fitted once there are `auto_pca` images (0: never), if their raw descriptors have
    more dimensions than its embeddings.
    """
    _drop_left(connection)
    # Another projection may have been activated during the ingest.
    collection = collections.get(connection, collection.name)
    active = projections.get(connection, collection.active_projection_id)
    # With this few dimensions there is nothing to reduce, and whitening alone would overfit.
    is_short = collection.channels <= DEFAULT_DIM
    if active.kind == "raw" and auto_pca and not is_short:
        n_images = images.count_contents(connection, collection)
        if n_images >= max(auto_pca, DEFAULT_DIM + 1):
            try:
                projection_id = fit(connection, [collection], DEFAULT_DIM)
            except NotEnoughSamples as exc:
                log.warning("no first PCA yet: %s", exc)
            else:
                log.info("fitted projection %s on %s", projection_id, counted(n_images, "image"))
                activate(connection, connect, collection, projection_id)
                return
    if not indexes.exists(connection, collection, active.id) and images.count_contents(
        connection, collection
    ):
        log.info("building the index")
        indexes.build(connection, collection, active.id, connect=connect)
    _measure(connection, collection, active.id)


def _measure(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Measure a large index that is new or has grown by a quarter, if this role may store it."""
    if recalls.is_due(connection, collection, projection_id) and is_owner(connection):
        log.info("measuring the recall of the index")
        recall = recalls.measure(connection, collection, projection_id)
        kind, _ = kinds.stored(connection, collection, projection_id)
        if kind in kinds.LOSSY and (recall or 0) < recalls.wanted(connection, collection):
            log.warning(
                "%s: the %s index finds %.4f of the ten nearest images, which is less than wanted: "
                "run `db.index.build(collection=%s, kind='hnsw-halfvec')`",
                *(collection.name, kind, recall or 0, repr(collection.name)),
            )


def _drop_left(connection: Connection) -> None:
    for name in drop_left_indexes(connection):
        log.warning("dropped %s, a leftover of an interrupted build", name)


def name_beside(folder: str, extractor: str) -> str:
    """Return the name of the collection that holds a folder's images for an extractor's PCA.

    It ends with a hash of the whole path, so that folders of the same name do not collide.
    """
    digest = hashlib.sha256(f"{printable(folder)}\0{extractor}".encode()).hexdigest()[:8]
    end = f"-for-pca-{digest}"
    begin = printable(os.path.basename(folder) or "root").encode()[: MOST_NAME_BYTES - len(end)]
    return begin.decode(errors="ignore") + end
