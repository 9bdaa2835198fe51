"""Re-embed: move a collection to another extractor; searches use the old one until the switch.

    raw descriptors -> projection -> embeddings, index -> images added meanwhile -> switch

The switch is one transaction; `projections.rollback` undoes it.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from spocdb import backfill
from spocdb import projections as fitting
from spocdb.db import collections, descriptors, embeddings, projections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import NotEnoughSamples
from spocdb.features.projection import check_options
from spocdb.pipeline.extraction import OnDemand
from spocdb.progress import Progress
from spocdb.settings import Limits
from spocdb.sources.source import Source

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)

# Ingests are blocked for at most about this long while the last images are embedded.
MOST_SECONDS_HELD = 10.0

LEARNED = ("discriminative", "head")

# Settings copied from the active projection to its successor.
KEPT_SETTINGS = ("whiten", "centre", "regularisation")


def reembed(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    source: Source,
    load_extractor: "Callable[[], Extractor]",
    limits: Limits,
    dim: int | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Embed a collection with another extractor and activate that; return the projection.

    `collection` is the stored one with the new extractor's fields; `source` reads its images.
    Searches and ingests continue meanwhile. After an interruption the same call continues. `dim`
    None keeps the active projection's.

    Raises:
        ConfigError: Files of images are gone or changed.
    """
    if dim is not None:
        check_options(collection.channels, dim)
    progress = Progress()
    progress.n_seen = progress.n_unchanged = descriptors.count_described(connection, collection)
    on_progress(progress)
    describe = partial(
        backfill.complete,
        connection,
        connect,
        collection,
        source,
        OnDemand(collection.recipe, load_extractor),
        limits,
        progress,
        on_progress,
    )
    describe()
    number = _projection(connection, collection, dim)
    build = partial(fitting.build, connection, connect, collection, number)
    build()
    while _seconds(describe, build) > MOST_SECONDS_HELD:
        log.info("more images were added meanwhile")
    with connection.transaction():
        collections.hold(connection, collection)
        describe()
        fitting.fill(connection, connect, collection, number)
        embeddings.activate(connection, collection, number)
    return number


def _projection(connection: Connection, collection: Collection, dim: int | None) -> int:
    """Return a projection of the new extractor with the settings of the active one."""
    active = projections.get(connection, collection.active_projection_id)
    raw = projections.raw(connection, collection.extractor_id)
    wanted = dim or active.settings.get("dim")
    if wanted is None:
        log.info("projection %s, the raw one, as before", raw)
        return raw
    dim = min(wanted, collection.channels)
    kept = {name: active.settings[name] for name in KEPT_SETTINGS if name in active.settings}
    try:
        number = fitting.fit(connection, [collection], dim, **kept)
    except NotEnoughSamples as exc:
        log.warning("projection %s, the raw one: %s", raw, exc)
        return raw
    log.info(
        "fitted projection %s: %s dimensions, on the images of %s", number, dim, collection.name
    )
    if active.kind in LEARNED:
        log.warning(
            "projection %s was learned from the descriptors of %s: a PCA takes its place until "
            "another one is learned",
            *(active.id, active.extractor),
        )
    return number


def _seconds(*steps: Callable[[], None]) -> float:
    began = time.monotonic()
    for step in steps:
        step()
    return time.monotonic() - began
