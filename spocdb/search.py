"""Search: describe the query image like the gallery's, then search in SQL, refined on request."""

import math
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.db import collections
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.search import MOST_RESULTS, Hit
from spocdb.errors import InvalidValue
from spocdb.filters import Json
from spocdb.records import Crop, Decoded, Float32Array, Recipe, Refinement
from spocdb.settings import Limits

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor
    from spocdb.features.plain import Stack
    from spocdb.images.memory import InMemory

# Returns a context manager that yields a connection.
Connections = Callable[[], AbstractContextManager[Connection]]
# Returns the query's raw descriptor (C,) by the extractor of a recipe.
Describe = Callable[[Recipe], Float32Array]

# Re-ranking compares every pair of the short list.
LONGEST_SHORT_LIST = 2000

NOTHING_MORE = Refinement()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a search, apart from its query.

    `projection` is one that the collection keeps, None the active one. Hits farther than
    `max_distance` are left out. Without `k` all others are hits. With `collapse` a group of
    duplicates is shown once, by the hit that is nearest; images of `left_out` do not stand for one.
    `recall` is that of the search by the index, None the collection's.

    Raises:
        InvalidValue: `k`, the refinement, distance or recall is out of range, or neither `k` nor
            `max_distance` is given.
    """

    k: int | None
    filter: Json = field(default_factory=dict)
    exact: bool = False
    refinement: Refinement = NOTHING_MORE
    projection: int | None = None
    max_distance: float | None = None
    collapse: bool = False
    left_out: AbstractSet[int] = frozenset()
    recall: float | None = None

    def __post_init__(self) -> None:
        more = self.refinement
        if not isinstance(more, Refinement):
            raise checks.invalid("refinement", more, "a Refinement")
        checks.whole("rerank", more.rerank, 0, LONGEST_SHORT_LIST)
        checks.whole("expand", more.expand, 0, LONGEST_SHORT_LIST)
        checks.number("alpha", more.alpha, 0, 100)
        if self.recall is not None:
            check_recall(self.recall)
        if self.max_distance is not None:
            checks.number("max_distance", self.max_distance, 0, 2)
        elif self.k is None:
            raise InvalidValue("k", None, "a number, unless max_distance is given")
        if self.k is not None:
            # NumPy's integers become Python's: SQL knows no function of the type of the others.
            object.__setattr__(self, "k", checks.whole("k", self.k, 1, MOST_RESULTS))

    def more(self, n: int) -> "Request":
        """Return the request for n more hits."""
        return self if self.k is None else replace(self, k=min(self.k + n, MOST_RESULTS))

    def within(self, hits: list[Hit]) -> list[Hit]:
        """Return the hits that are near enough, at most k."""
        if self.max_distance is not None:
            hits = [hit for hit in hits if hit.distance <= self.max_distance]
        return hits[: self.k]


def search(
    connections: Connections,
    collection: Collection,
    describe: Describe,
    request: Request,
    like: Sequence[int] = (),
    unlike: Sequence[int] = (),
) -> list[Hit]:
    """Return the images of the collection that look most like the query.

    Stored images that are liked and disliked move the query; they may be among the hits.
    `collection` is as `collections.as_if_active` returns it for the requested projection. No
    connection is held while the network computes.

    Raises:
        ImageError: The image or the crop is bad.
        ImageNotFound: The collection has no image with one of the ids.
        ProjectionNotFound: The collection has no embeddings by the requested projection.
        DuplicatesNotFound: Groups should be shown once, and duplicates were not looked for.
    """
    name, projection = collection.name, request.projection
    with _embedded(connections, collection, describe, projection) as (connection, query):
        if like or unlike:
            query = db_search.rocchio(connection, name, like, unlike, query, projection)
        return nearest(connection, name, query, request)


def embed(
    connections: Connections, collection: Collection, describe: Describe, projection: int | None
) -> Float32Array:
    """Return the query's embedding (N,), by the active projection or one that is kept.

    Raises:
        ImageError: The image or the crop is bad.
        ProjectionNotFound: The collection has no embeddings by this projection.
    """
    with _embedded(connections, collection, describe, projection) as (_, query):
        return query


@contextmanager
def _embedded(
    connections: Connections, collection: Collection, describe: Describe, projection: int | None
) -> Iterator[tuple[Connection, Float32Array]]:
    """Yield the query's embedding (N,), and a connection that sees the same projection."""
    from spocdb.db import projections

    while True:
        raw = describe(collection.recipe)
        with (
            connections() as connection,
            projections.blamed(connection, collection.active_projection_id),
            db_search.snapshot(connection),
        ):
            found = collections.get(connection, collection.name)
            now = collections.as_if_active(connection, found, projection)
            if now.extractor_id == collection.extractor_id:
                yield connection, db_search.embed(connection, collection.name, raw, projection)
                return
        collection = now  # it was re-embedded meanwhile


def describe(
    image: "bytes | InMemory",
    recipe: Recipe,
    load: "Callable[[], Extractor | Stack]",
    limits: Limits,
    crop: Crop | None = None,
    decode_file: Callable[..., Decoded] | None = None,
) -> Float32Array:
    """Return the raw descriptor (C,) of an image file's bytes or of an image, or of a crop.

    Decoding takes part in the process's budget of memory, so that queries of many threads stay
    within it. `decode_file` replaces `decode` for files. The network is loaded after the image was
    decoded.

    Raises:
        ImageError: The image or the crop is bad.
    """
    from spocdb.images.decode import decode
    from spocdb.images.footprint import footprint
    from spocdb.images.memory import fit_held
    from spocdb.pipeline.budget import of_process

    size, fit, most = recipe.size, recipe.fit, limits.max_pixels
    if isinstance(image, bytes):
        # A part is cut out of the whole picture.
        needed = footprint(image, None if crop else size, fit)
        with of_process(limits.memory).lent(needed):
            decoded = (decode_file or decode)(image, size, fit, most, recipe.canvas, crop)
    else:
        decoded = fit_held(image, size, fit, most, recipe.canvas, crop)
    return load().describe(decoded.pixels)


def similar(
    connection: Connection,
    collection: Collection,
    ids: Sequence[int],
    request: Request,
    unlike: Sequence[int] = (),
) -> list[Hit]:
    """Return the images that look most like stored ones, and unlike others; all these are left out.

    Raises:
        DuplicatesNotFound: Groups should be shown once, and duplicates were not looked for.
        ImageNotFound: The collection has no image with one of the ids.
        ProjectionNotFound: The collection has no embeddings by the requested projection.
    """
    name, projection = collection.name, request.projection
    is_one = len(ids) == 1 and not unlike
    is_plain = request.refinement == NOTHING_MORE and not request.collapse
    if is_one and is_plain and request.k is not None:
        with db_search.wanting(connection, request.recall):
            found = db_search.similar(
                *(connection, name, ids[0], request.k, request.filter),
                exact=request.exact,
                projection=projection,
            )
        return request.within(found)
    left_out = {*ids, *unlike}
    with db_search.snapshot(connection):
        if is_one:
            query = db_search.embedding(connection, name, ids[0], projection)
        else:
            query = db_search.rocchio(connection, name, ids, unlike, projection=projection)
        wanted = replace(request.more(len(left_out)), left_out=left_out)
        hits = nearest(connection, name, query, wanted)
    return [hit for hit in hits if hit.id not in left_out][: request.k]


def nearest(
    connection: Connection, collection: str, query: Float32Array, request: Request
) -> list[Hit]:
    """Return the images nearest to an embedding (N,), refined as requested.

    The distances are to the expanded query; re-ranking changes only the order.
    """
    with db_search.wanting(connection, request.recall):
        return _nearest(connection, collection, query, request)


def _nearest(
    connection: Connection, collection: str, query: Float32Array, request: Request
) -> list[Hit]:
    more, projection = request.refinement, request.projection
    if more.expand:
        query = db_search.expand(
            *(connection, collection, query, int(more.expand), float(more.alpha)),
            exact=request.exact,
            projection=projection,
        )
    hits = _found(connection, collection, query, request)
    if more.rerank:
        from spocdb.features.reranking import rerank

        listed, rest = hits[: more.rerank], hits[more.rerank :]
        ids = [hit.id for hit in listed]
        vectors = db_search.embeddings(connection, collection, ids, projection)
        hits = [listed[i] for i in rerank(query, vectors)] + rest
    return request.within(hits)


def _found(
    connection: Connection, collection: str, query: Float32Array, request: Request
) -> list[Hit]:
    """Return what re-ranking and the limits of the request choose from."""
    k, filter, projection = request.k, request.filter, request.projection
    if k is None:
        assert request.max_distance is not None  # a request has one of the two
        most = request.max_distance
        hits = db_search.within(connection, collection, query, most, filter, projection)
        if not request.collapse:
            return hits
        others = [hit for hit in hits if hit.id not in request.left_out]
        return db_search.collapse(connection, collection, others)
    n_found = max(k, int(request.refinement.rerank))
    if request.collapse:
        return db_search.collapsed(
            *(connection, collection, query, n_found, filter),
            exact=request.exact,
            projection=projection,
            left_out=request.left_out,
        )
    return db_search.nearest(
        *(connection, collection, query, n_found, filter),
        exact=request.exact,
        projection=projection,
    )


def check_recall(recall: float) -> None:
    """Check a recall that is wanted.

    Raises:
        InvalidValue: It is out of range.
    """
    # From the smallest number that is more than 0.
    checks.number("recall", recall, math.ulp(0.0), 1, "more than 0, at most 1")
