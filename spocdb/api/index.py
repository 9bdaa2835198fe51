"""Indexes in the API: `db.index`."""

from spocdb.api.part import Part
from spocdb.db import collections, indexes, recalls
from spocdb.db.indexes import IndexStatus
from spocdb.db.kinds import KINDS, Kind
from spocdb.errors import UnknownChoice
from spocdb.search import check_recall


class Index(Part):
    """The indexes of a database; `db.index`."""

    def build(
        self,
        collection: str | None = None,
        kind: Kind | None = None,
        partitions: int | None = None,
    ) -> float | None:
        """Rebuild the active index of a collection; searches continue meanwhile.

        Args:
            collection: the name; None if there is only one.
            kind: what the index holds: hnsw-vector (the embeddings), hnsw-halfvec (their half
                precision: 0.6 of the bytes), hnsw-bit (their signs: a quarter), or diskann where
                the server has pgvectorscale. None keeps the kind; a first index has half precision
                if that loses no more than 0.002 of the nearest images, as is measured. No kind
                changes the distances of a search.
            partitions: how many tables hold the embeddings, 1 to 256; None keeps the number.
                Another number moves them first; then searches compare all embeddings until the
                index is built.

        Returns:
            The measured recall@10, 0 to 1; None for a collection without two images.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the server or the embeddings cannot have the kind, or its recall is less
                than the collection wants: the index stays as it is.
            DatabaseError: the server has no room for the index, this role may not build it, or
                objects depend on the view, whose type would change.
            InvalidValue: `partitions` is out of range.
            UnknownChoice: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise UnknownChoice("kind", kind, KINDS)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            number = target.active_projection_id
            if partitions is not None:
                indexes.repartition(connection, target, partitions)
            recall = indexes.build(connection, target, number, kind, self._engine.connect)
            return recalls.measure(connection, target, number) if recall is None else recall

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
