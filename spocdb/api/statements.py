"""Statements in the API: the SQL of what the other methods return, to go on with elsewhere."""

from collections.abc import Sequence

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import collections, equivalents
from spocdb.db.search import MOST_RESULTS
from spocdb.errors import InvalidValue
from spocdb.filters import Filter, to_json
from spocdb.records import Float32Array


class Statements(Part):
    """Statements that give the rows of other methods, to run in psql or an application."""

    def newest(
        self, filter: Filter | None = None, *, collection: str | None = None, limit: int = 100
    ) -> str:
        """Return the statement that gives the images of `Database.newest`, in the same order.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md.
            collection: the name; None if there is only one.
            limit: how many images.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `limit` is less than 1.
            ConfigError: the filter is invalid.
        """
        n = checks.whole("limit", limit, 1, bound="1 or more")
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return equivalents.newest(connection, target, to_json(filter), n)

    def similar(
        self,
        id: int | Sequence[int],
        k: int = 10,
        *,
        collection: str | None = None,
        filter: Filter | None = None,
        unlike: Sequence[int] = (),
    ) -> str:
        """Return the statement that gives the hits of `Database.similar`, in the same order.

        Args:
            id: the image, or several.
            k: how many results, 1 to 2147483647.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            unlike: ids of stored images that the hits should not look like.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `k` is out of range, no image is given, or an id is no integer.
            ImageNotFound: an id has more than 64 bits.
            ConfigError: the filter is invalid.
        """
        k = checks.whole("k", k, 1, MOST_RESULTS)
        if not (ids := checks.image_ids(id)):
            raise InvalidValue("id", ids, "one image or more")
        disliked = checks.image_ids(unlike, "unlike")
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return equivalents.similar(connection, target, ids, k, to_json(filter), disliked)

    def search(
        self,
        embedding: Float32Array,
        k: int = 10,
        *,
        collection: str | None = None,
        filter: Filter | None = None,
        like: Sequence[int] = (),
        unlike: Sequence[int] = (),
    ) -> str:
        """Return the statement that gives the hits of `Database.search`, for an embedding (N,).

        Args:
            embedding: what `Database.embed` returns for the picture.
            k: how many results, 1 to 2147483647.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            like: ids of stored images that the hits should look like, too.
            unlike: ids of stored images that the hits should not look like.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `k` is out of range, the embedding is no array (N,) of finite numbers, or
                an id is no integer.
            DimensionMismatch: the embedding has not the dimensions of the active projection.
            ImageNotFound: an id has more than 64 bits.
            ConfigError: the filter is invalid.
        """
        k, query = checks.whole("k", k, 1, MOST_RESULTS), _finite(embedding)
        liked, disliked = checks.image_ids(like, "like"), checks.image_ids(unlike, "unlike")
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return equivalents.search(
                connection, target, query, k, to_json(filter), liked, disliked
            )


def _finite(embedding: Float32Array) -> Float32Array:
    import numpy as np

    try:
        found = np.asarray(embedding, np.float32)
    except (TypeError, ValueError):
        found = np.empty((), np.float32)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise checks.invalid("embedding", embedding, "an array (N,) of finite numbers")
    return found
