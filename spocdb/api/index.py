"""Indexes in the API: `db.index`."""

from spocdb.api.session import Session
from spocdb.db import collections, engine, indexes
from spocdb.db.indexes import IndexStatus, IndexType


class Index:
    """The HNSW indexes of a database; `db.index`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @engine.wrapped()
    def build(
        self, collection: str | None = None, index_type: IndexType | None = None
    ) -> float | None:
        """Build the active index of a collection anew; return its measured recall@10.

        None for a collection without two images. `index_type` "halfvec" halves its size.
        """
        target = collections.get(self._session.connection, collection)
        indexes.build(self._session.connection, target, target.active_projection_id, index_type)
        return indexes.measure_recall(self._session.connection, target)

    @engine.wrapped()
    def status(self, collection: str | None = None) -> list[IndexStatus]:
        """List the embedding tables and their indexes, of one collection or of all."""
        if collection is not None:
            collections.get(self._session.connection, collection)
        return indexes.status(self._session.connection, collection)
