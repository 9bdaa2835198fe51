"""Indexes in the API: `db.index`."""

from spocdb.api.part import Part
from spocdb.db import collections, indexes
from spocdb.db.indexes import IndexStatus, IndexType


class Index(Part):
    """The HNSW indexes of a database; `db.index`."""

    def build(
        self, collection: str | None = None, index_type: IndexType | None = None
    ) -> float | None:
        """Rebuild the active index of a collection; searches continue meanwhile.

        Args:
            collection: the name; None if there is only one.
            index_type: vector, or halfvec, which halves the size; None keeps the type.

        Returns:
            The measured recall@10, 0 to 1; None for a collection without two images.

        Raises:
            CollectionNotFound: there is no such collection.
            DatabaseError: the server has no room for the index, or this role may not build it.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            indexes.build(connection, target, target.active_projection_id, index_type)
            return indexes.measure_recall(connection, target)

    def status(self, collection: str | None = None) -> list[IndexStatus]:
        """List the embedding tables and their indexes, of one collection or of all.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            if collection is not None:
                collections.get(connection, collection)
            return indexes.status(connection, collection)
