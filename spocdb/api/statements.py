"""Statements in the API: the SQL of what the other methods return, to go on with elsewhere."""

from collections.abc import Sequence

from spocdb.api.part import Part
from spocdb.db import collections, equivalents
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
            ConfigError: the filter is invalid.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return equivalents.newest(connection, target, to_json(filter), limit)

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
            k: how many results.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            unlike: ids of stored images that the hits should not look like.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the filter is invalid.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            ids = [id] if isinstance(id, int) else id
            return equivalents.similar(connection, target, ids, k, to_json(filter), unlike)

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
            k: how many results.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            like: ids of stored images that the hits should look like, too.
            unlike: ids of stored images that the hits should not look like.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the filter is invalid.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return equivalents.search(
                connection, target, embedding, k, to_json(filter), like, unlike
            )
