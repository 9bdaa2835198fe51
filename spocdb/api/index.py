"""Indexes in the API: `db.index`."""

from spocdb.api.part import Part
from spocdb.db import collections, indexes, recalls
from spocdb.db.indexes import IndexStatus, IndexType
from spocdb.search import check_recall


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
            return recalls.measure(connection, target, target.active_projection_id)

    def measure(self, collection: str | None = None, recall: float | None = None) -> float | None:
        """Measure the active index again, and set the recall that searches shall have.

        A search by the index is as wide as that recall needs. Larger indexes are measured whenever
        they are built, and after an ingest that made the collection larger by a quarter.

        Args:
            collection: the name; None if there is only one.
            recall: of searches in this collection from now on, more than 0 and at most 1; None
                keeps what it is, at first 0.99.

        Returns:
            The measured recall@10 of a search for ten, 0 to 1, less its standard error; None for a
            collection without two images.

        Raises:
            CollectionNotFound: there is no such collection.
            DatabaseError: this role may not change the collection.
            InvalidValue: `recall` is out of range.
        """
        if recall is not None:
            check_recall(recall)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            if recall is not None:
                recalls.want(connection, target, recall)
            return recalls.measure(connection, target, target.active_projection_id)

    def status(self, collection: str | None = None) -> list[IndexStatus]:
        """List the embedding tables and their indexes, of one collection or of all.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            if collection is not None:
                collections.get(connection, collection)
            return indexes.status(connection, collection)
