"""Collections in the API: list, describe and drop them."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.images import most_images
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db.collections import Collection, CollectionSummary
from spocdb.errors import InvalidValue

if TYPE_CHECKING:
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
        """Return the name of a collection; None is the only one, or else photos.

        Raises:
            CollectionNotFound: there is no such collection, or several and none is named.
        """
        with self._engine.connection() as connection:
            return collections.get(connection, name).name

    def describe(self, collection: str | None = None) -> "CollectionDetails":
        """Return the details of a collection.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        from spocdb.db import details

        with self._engine.connection() as connection:
            return details.get(connection, collections.get(connection, collection))

    def drop(self, collection: str) -> None:
        """Drop a collection; its raw descriptors stay, so that ingesting again is cheap.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: the name is no text; None does not stand for the only collection here.
            DatabaseError: something in the database depends on its view.
        """
        name = checks.text("collection", collection)
        with self._engine.connection() as connection:
            collections.drop(connection, collections.get(connection, name))

    def failures(
        self, collection: str | None = None, *, after: str | None = None, limit: int | None = None
    ) -> "Iterator[Failure]":
        """Iterate over the images that could not be stored, by collection and path.

        They are read in pages of a thousand. No connection is held between two pages, so that other
        calls can run.

        Args:
            collection: the name; None are all collections.
            after: leave out paths up to this one, e.g. the last of the page before; only for one
                collection.
            limit: the maximum number of failures, zero or more; None for all.

        Returns:
            The failures, with path, reason and message.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `after` is given without a collection or no text, or `limit` is negative.
        """
        if after is not None and collection is None:
            raise InvalidValue("collection", None, "a name, where `after` says where to go on")
        if after is not None:
            checks.text("after", after)
        limit = most_images(limit)
        with self._engine.connection() as connection:
            targets = collections.some(connection, collection)
        pages = chain.from_iterable(self._failures(target, after, limit) for target in targets)
        return islice(pages, limit)

    def _failures(
        self, target: Collection, after: str | None, limit: int | None
    ) -> "Iterator[Failure]":
        from spocdb.db import runs

        n = runs.PAGE if limit is None else min(runs.PAGE, limit)
        while True:
            with self._engine.connection() as connection:
                page = runs.failures(connection, target, after, n)
            yield from page
            if len(page) < n:
                return
            after = page[-1].path

    def evaluations(self, benchmark: str | None = None) -> "list[StoredEvaluation]":
        """List the stored evaluations, of one benchmark or of all, oldest first.

        Raises:
            InvalidValue: the benchmark is no text.
        """
        from spocdb.db import evaluations

        if benchmark is not None:
            checks.text("benchmark", benchmark)
        with self._engine.connection() as connection:
            return evaluations.stored(connection, benchmark)
