"""Search: describe the query image like the gallery's, then search in SQL, refined on request."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from spocdb.db import collections, projections
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.search import Hit
from spocdb.errors import InvalidValue
from spocdb.features.reranking import rerank
from spocdb.filters import Json
from spocdb.images.decode import decode
from spocdb.images.memory import InMemory, fit_held
from spocdb.records import Crop, Float32Array, Recipe, Refinement

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# Returns a context manager that yields a connection.
Connections = Callable[[], AbstractContextManager[Connection]]

# Re-ranking compares every pair of the short list.
LONGEST_SHORT_LIST = 2000


def search(
    connections: Connections,
    collection: Collection,
    image: bytes | InMemory,
    load_extractor: "Callable[[Recipe], Extractor]",
    k: int,
    *,
    crop: Crop | None,
    filter: Json,
    exact: bool,
    refinement: Refinement,
    max_pixels: int,
) -> list[Hit]:
    """Return the k images of the collection that look most like an image file's bytes, or an image.

    No connection is held while the network computes.

    Raises:
        ImageError: The image or the crop is bad.
    """
    while True:
        load = partial(load_extractor, collection.recipe)
        raw = describe(image, collection.recipe, load, max_pixels, crop)
        with (
            connections() as connection,
            projections.blamed(connection, collection.active_projection_id),
            db_search.snapshot(connection),
        ):
            now = collections.get(connection, collection.name)
            if now.extractor_id == collection.extractor_id:
                query = db_search.embed(connection, collection.name, raw)
                return nearest(connection, collection.name, query, k, filter, exact, refinement)
        collection = now  # it was re-embedded meanwhile


def describe(
    image: bytes | InMemory,
    recipe: Recipe,
    load_extractor: "Callable[[], Extractor]",
    max_pixels: int,
    crop: Crop | None = None,
) -> Float32Array:
    """Return the raw descriptor (C,) of an image file's bytes or of an image, or of a crop.

    The network is loaded after the image was decoded.

    Raises:
        ImageError: The image or the crop is bad.
    """
    if isinstance(image, bytes):
        decoded = decode(image, recipe.size, recipe.fit, max_pixels, recipe.canvas, crop)
    else:
        decoded = fit_held(image, recipe.size, recipe.fit, max_pixels, recipe.canvas, crop)
    raw: Float32Array
    (raw,) = load_extractor().extract([decoded.pixels])
    return raw


def similar(
    connection: Connection,
    collection: Collection,
    id: int,
    k: int,
    *,
    filter: Json,
    exact: bool,
    refinement: Refinement,
) -> list[Hit]:
    """Return the k images that look most like a stored image, which is left out.

    Raises:
        ImageNotFound: The collection has no image with this id.
    """
    if refinement == Refinement():
        return db_search.similar(connection, collection.name, id, k, filter, exact=exact)
    with db_search.snapshot(connection):
        query = db_search.embedding(connection, collection.name, id)
        # One more, for the image itself. A negative k is refused by the database.
        n = k + 1 if k >= 0 else k
        hits = nearest(connection, collection.name, query, n, filter, exact, refinement)
    return [hit for hit in hits if hit.id != id][:k]


def nearest(
    connection: Connection,
    collection: str,
    query: Float32Array,
    k: int,
    filter: Json,
    exact: bool,
    refinement: Refinement,
) -> list[Hit]:
    """Return the k images nearest to an embedding (N,), refined as asked.

    The distances are to the expanded query; re-ranking changes only the order.
    """
    check(refinement)
    if refinement.expand:
        query = db_search.expand(
            connection, collection, query, refinement.expand, refinement.alpha, exact=exact
        )
    n_found = max(k, refinement.rerank) if refinement.rerank else k
    hits = db_search.nearest(connection, collection, query, n_found, filter, exact=exact)
    if refinement.rerank:
        listed, rest = hits[: refinement.rerank], hits[refinement.rerank :]
        vectors = db_search.embeddings(connection, collection, [hit.id for hit in listed])
        hits = [listed[i] for i in rerank(query, vectors)] + rest
    return hits[:k]


def check(refinement: Refinement) -> None:
    """Raise ConfigError for a refinement that is out of range."""
    if not 0 <= refinement.rerank <= LONGEST_SHORT_LIST:
        raise InvalidValue("rerank", refinement.rerank, f"0 to {LONGEST_SHORT_LIST}")
    if not 0 <= refinement.expand <= LONGEST_SHORT_LIST:
        raise InvalidValue("expand", refinement.expand, f"0 to {LONGEST_SHORT_LIST}")
    # Written so that NaN fails too.
    if not 0 <= refinement.alpha <= 100:
        raise InvalidValue("alpha", refinement.alpha, "0 to 100")
