"""Looking at collections in the API: the newest images, and the values of their metadata."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.filters import Filter, to_json

if TYPE_CHECKING:
    from spocdb.db.facets import Facets
    from spocdb.db.listing import StoredImage


class Browsing(Part):
    """Methods of Database for looking through a collection."""

    def newest(
        self,
        filter: Filter | None = None,
        *,
        collection: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> "list[StoredImage]":
        """Return a page of a collection's images, the newest first, without embeddings.

        `count` tells how many match in all, and why none does.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md.
            collection: the name; None if there is only one.
            before: the id of the last image of the page before; None for the first page.
            limit: images per page, 1 to 1000.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `limit` is out of range, or `before` is no id.
            ConfigError: the filter is invalid.
        """
        from spocdb.db import listing

        n, wanted = checks.whole("limit", limit, 1, listing.PAGE), to_json(filter)
        if before is not None:
            before = checks.whole("before", before, -checks.MOST, bound="the id of an image")
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return listing.newest(connection, target, wanted, before, n)

    def sizes(self, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Return width and height in pixels of upright images, by id; unknown ids are left out.

        Raises:
            InvalidValue: an id is no integer.
            ImageNotFound: an id has more than 64 bits.
        """
        from spocdb.db import listing

        wanted = checks.image_ids(ids, "ids")
        with self._engine.connection() as connection:
            return listing.sizes(connection, wanted)

    def facets(self, filter: Filter | None = None, *, collection: str | None = None) -> "Facets":
        """Return the values of each key of the metadata, over the images that match a filter.

        Of more than 100,000 images the newest are counted. The most frequent keys and values are
        listed, none that is longer than 200 characters; the answer says how many there are.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md.
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the filter is invalid.
        """
        from spocdb.db import facets

        wanted = to_json(filter)
        with self._engine.connection() as connection:
            return facets.facets(connection, collections.get(connection, collection), wanted)
