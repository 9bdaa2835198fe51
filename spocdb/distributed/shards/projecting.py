"""One projection for all servers: fitted on the images of all of them, stored on each.

A projection's number on the first server is its number here; on the others it is found by its
fingerprint. The one that is active on the first server is that of all searches: a switch builds
embeddings and index everywhere, and is done once the first server has switched, in one transaction.
"""

import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from spocdb import projections as fitting
from spocdb.db import embeddings, images, projections, shards
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.copy import Rows
from spocdb.distributed.shards.servers import Server, Servers
from spocdb.errors import ConfigError, NotEnoughSamples, ProjectionNotFound
from spocdb.pipeline.chunks import chunks
from spocdb.projections import CHUNK_ROWS, DEFAULT_DIM, Regularisation
from spocdb.wording import counted

log = logging.getLogger(__name__)

# A server's part of a collection, and a connection to it.
Pair = tuple[Connection, Collection]


def fit(
    servers: Servers,
    held: Sequence[Connection],
    fitted_on: Sequence[Sequence[Collection]],
    dim: int = DEFAULT_DIM,
    *,
    whiten: bool = True,
    centre: bool = True,
    regularisation: Regularisation = 0.0,
) -> int:
    """Fit a PCA on the images of collections, of which `fitted_on` has each server's parts.

    The samples of all servers are read in the order of their sha256, so that the numbers are those
    of a fit on one server that has all images, bit for bit. Returns the number on the first server.
    Raises the errors of `projections.fit`.
    """
    everywhere = [*zip(held, map(list, fitted_on), strict=True)]
    for _, parts in everywhere:
        fitting.check_extractor(parts)
    fitted, sha256 = fitting.computed(
        *(merged([fitting.samples_of(*one) for one in everywhere]), fitted_on[0][0].channels, dim),
        whiten=whiten,
        centre=centre,
        regularisation=regularisation,
    )
    numbers = servers.with_each(
        everywhere, lambda _, one: fitting.keep(one[0], one[1], fitted, sha256)
    )
    return numbers[0]


def merged(streams: Iterable[Iterator[Rows]]) -> Iterator[Rows]:
    """Merge streams that are sorted by sha256 into chunks of the size of one server's."""
    rows = heapq.merge(*map(chain.from_iterable, streams), key=lambda row: row["sha256"].tobytes())
    for chunk in chunks(rows, CHUNK_ROWS):
        yield np.array(chunk, chunk[0].dtype)


def activate(servers: Servers, pairs: Sequence[Pair], number: int) -> None:
    """Activate a projection of the first server, by its number there, on all of them.

    After an interruption the same call continues.

    Raises:
        ProjectionNotFound: The first server has no such projection.
        ConfigError: It is of another extractor, or an augmentation.
    """
    connection, first = pairs[0]
    projection, about = projections.load(connection, number), projections.get(connection, number)
    if about.extractor != first.recipe.name:
        raise ConfigError(
            f"projection {number} is of extractor {about.extractor}, and {first.name} has "
            f"{first.recipe.name}: images of several servers are not described again; ingest them "
            "into another collection"
        )
    if "augmented" in projection.settings:
        raise ConfigError(
            f"projection {number} is an augmentation, by the neighbours on one server: activate "
            "one that is not"
        )

    def build(server: Server, pair: Pair) -> int:
        connection, part = pair
        if projection.kind == "raw":
            own = projections.raw(connection, part.extractor_id)
        else:
            own = projections.store(connection, part.extractor_id, projection, about.fitted_on)
        fitting.build(connection, server.connect, part, own)
        return own

    numbers = servers.with_each(pairs, build)
    # Every server can answer by it now. The first one's transaction is the switch.
    embeddings.activate(connection, first, numbers[0])
    for server, (connection, part), own in [*zip(servers, pairs, numbers, strict=True)][1:]:
        with server.named():
            embeddings.activate(connection, part, own)


def rollback(servers: Servers, pairs: Sequence[Pair]) -> int:
    """Activate the projection that was active before on the first server; return its number.

    Raises:
        ProjectionNotFound: There is none.
    """
    previous = pairs[0][1].previous_projection_id
    if previous is None:
        raise ProjectionNotFound(
            f"collection {pairs[0][1].name} has no projection to go back to: see `db.pca.list()`"
        )
    activate(servers, pairs, previous)
    return previous


def settle(servers: Servers, pairs: Sequence[Pair], auto_pca: int) -> None:
    """Fit a collection's first PCA once it has `auto_pca` images; build what indexes lack.

    Where a switch was interrupted, or a server is behind, it gets the projection of the first one.
    """
    connection, first = pairs[0]
    active = projections.get(connection, first.active_projection_id)
    if active.kind == "raw" and auto_pca and first.channels > DEFAULT_DIM:
        n_images = sum(servers.with_each(pairs, lambda _, pair: images.count_contents(*pair)))
        if n_images >= max(auto_pca, DEFAULT_DIM + 1):
            held, parts = zip(*pairs, strict=True)
            try:
                number = fit(servers, held, [[part] for part in parts])
            except NotEnoughSamples as exc:
                log.warning("no first PCA yet: %s", exc)
            else:
                log.info("fitted projection %s on %s", number, counted(n_images, "image"))
                activate(servers, pairs, number)
                return
    own = [shards.fingerprint(c, part.active_projection_id) for c, part in pairs]
    if len(set(own)) > 1:
        activate(servers, pairs, active.id)
    servers.with_each(
        pairs, lambda server, pair: fitting.settle(pair[0], server.connect, pair[1], 0)
    )
