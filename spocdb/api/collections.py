"""Collections in the API: list, describe and drop them."""

from spocdb.api.part import Part
from spocdb.db import collections, details, evaluations, runs
from spocdb.db.collections import CollectionSummary
from spocdb.db.details import CollectionDetails
from spocdb.db.evaluations import StoredEvaluation
from spocdb.db.runs import Failure


class Collections(Part):
    """Methods of Database about whole collections."""

    def collections(self) -> list[CollectionSummary]:
        """List the collections, by name."""
        with self._engine.connection() as connection:
            return collections.summaries(connection)

    def collection(self, name: str | None = None) -> str:
        """Return the name of a collection; None is the only one.

        Raises:
            CollectionNotFound: there is no such collection, or several and none is named.
        """
        with self._engine.connection() as connection:
            return collections.get(connection, name).name

    def describe(self, collection: str | None = None) -> CollectionDetails:
        """Return the details of a collection.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            return details.get(connection, collections.get(connection, collection))

    def drop(self, collection: str) -> None:
        """Drop a collection; its raw descriptors stay, so that ingesting again is cheap.

        Raises:
            CollectionNotFound: there is no such collection.
            DatabaseError: something in the database depends on its view.
        """
        with self._engine.connection() as connection:
            collections.drop(connection, collections.get(connection, collection))

    def failures(self, collection: str | None = None) -> list[Failure]:
        """List the images that could not be stored, of one collection or of all.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            if collection is not None:
                collections.get(connection, collection)
            return runs.failures(connection, collection)

    def evaluations(self, benchmark: str | None = None) -> list[StoredEvaluation]:
        """List the stored evaluations, of one benchmark or of all, oldest first."""
        with self._engine.connection() as connection:
            return evaluations.stored(connection, benchmark)
