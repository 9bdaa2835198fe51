"""Pictures and their variants compared with a whole collection, exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spocdb.db import listing, projections, thresholds
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.thresholds import Decided
from spocdb.db.thumbnails import Content
from spocdb.features.projection import project
from spocdb.images.variants import VARIANTS
from spocdb.neighbours import Int64Array, Nearest, nearest
from spocdb.records import Float64Array
from spocdb.variation import Varied

# Pairs with other contents that are kept for each variant. What lies farther than so many has no
# precision to speak of.
PAIRS = 20
# The number of the variant in pairs of the picture itself.
ITSELF = -1


@dataclass(frozen=True, slots=True)
class Compared:
    """The distances of pictures and of their variants.

    `own` (n, V): the variants' distances from their pictures. `pictures`, `variants`, `others`,
    `distances` (m,): the pairs with other contents, nearest first: the number of the picture, of
    the variant or ITSELF, of the content in `contents`. They are all pairs up to `limit`, each
    content once. `same` are the distances of those pairs of `decided` that are the same.
    """

    made: Varied
    own: Float64Array
    pictures: Int64Array
    variants: Int64Array
    others: Int64Array
    distances: Float64Array
    contents: list[Content]
    limit: float
    decided: list[Decided]
    same: Float64Array

    @property
    def candidates(self) -> list[Content]:
        """Return the contents whose signatures count: the pictures, and the nearest others."""
        near = np.unique(self.others[: 2 * self.own.size]).tolist()
        found = [*self.made.contents, *(self.contents[number] for number in near)]
        return [*{content.sha256: content for content in found}.values()]


def compared(connection: Connection, collection: Collection, made: Varied) -> Compared:
    """Compare pictures and their variants with all images, by the active projection."""
    ids = [content.id for content in made.contents]
    originals = db_search.embeddings(connection, collection.name, ids)
    loaded = projections.load(connection, collection.active_projection_id)
    copies = project(made.raw.reshape(-1, made.raw.shape[-1]), loaded)
    shape = (len(ids), len(VARIANTS), -1)
    own = np.maximum(1 - np.einsum("nvd,nd->nv", copies.reshape(shape), originals), 0)
    pages = ((rows["id"], rows["embedding"]) for rows in listing.streamed(connection, collection))
    queries = np.concatenate([originals, copies])
    near = nearest(queries, pages, float(own.max()), PAIRS * own.size)
    images = thresholds.images(connection, collection, np.unique(near.ids).tolist())
    decided = thresholds.decided(connection, collection)
    same = _distances(connection, collection, [pair for pair in decided if pair.verdict == "same"])
    pairs = _with_others(near, images, made.contents)
    return Compared(made, own.astype(np.float64), *pairs, near.limit, decided, same)


def _with_others(
    near: Nearest, images: Mapping[int, Content], pictures: Sequence[Content]
) -> tuple[Int64Array, Int64Array, Int64Array, Float64Array, list[Content]]:
    """Return the pairs with other contents than the picture's own, each once, nearest first."""
    contents = {content.sha256: content for content in images.values()}
    numbers = {sha256: number for number, sha256 in enumerate(contents)}
    of_image = {id: numbers[content.sha256] for id, content in images.items()}
    order = np.argsort(near.distances, kind="stable")
    others = np.array([of_image[id] for id in near.ids[order].tolist()], np.int64)
    queries, distances = near.queries[order], near.distances[order]
    n, v = len(pictures), len(VARIANTS)
    picture = np.where(queries < n, queries, (queries - n) // v)
    variant = np.where(queries < n, ITSELF, (queries - n) % v)
    own = np.array([numbers.get(content.sha256, -1) for content in pictures], np.int64)
    # The first of a query and a content is the nearest of its images.
    pairs = np.stack([queries, others], axis=1)
    first = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
    kept = first[own[picture[first]] != others[first]]
    near_by = np.maximum(distances[kept], 0).astype(np.float64)
    return picture[kept], variant[kept], others[kept], near_by, [*contents.values()]


def _distances(
    connection: Connection, collection: Collection, pairs: Sequence[Decided]
) -> Float64Array:
    """Return the distances (n,) of the images of pairs."""
    if not pairs:
        return np.empty(0)
    a, b = (
        db_search.embeddings(connection, collection.name, ids)
        for ids in ([pair.id for pair in pairs], [pair.other_id for pair in pairs])
    )
    distances: Float64Array = np.maximum(1 - np.einsum("nd,nd->n", a, b), 0).astype(np.float64)
    return distances
