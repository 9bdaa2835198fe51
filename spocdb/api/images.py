"""The images of collections in the API: iterate over them, show, delete and move them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import attachments, collections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import ConfigError
from spocdb.filters import Filter, Json, to_json
from spocdb.records import Float32Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spocdb.db.catalogue import ImageDetails
    from spocdb.db.listing import StoredImage
    from spocdb.sources.source import Get


class Images(Part):
    """Methods of Database about the images that collections hold."""

    def images(
        self,
        filter: Filter | None = None,
        *,
        collection: str | None = None,
        limit: int | None = None,
        embeddings: bool = True,
    ) -> "Iterator[StoredImage]":
        """Iterate over the images of a collection, by their path.

        The images are read in pages of a thousand. No connection is held between two pages, so that
        other calls can run. Images that are added or deleted meanwhile may or may not appear; no
        image appears twice.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md. If no image matches,
                a logged warning says why.
            collection: the name; None if there is only one.
            limit: the maximum number of images, zero or more; None for all.
            embeddings: also fetch each image's embedding (N,), by the projection that is active
                when its page is read.

        Yields:
            The images, with id, path, metadata and embedding.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `limit` is negative.
            ConfigError: the filter is invalid.
        """
        from spocdb.db import listing
        from spocdb.db import metadata as about

        wanted, limit = to_json(filter), most_images(limit)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
        last: str | None = None
        n_found = 0
        while limit is None or n_found < limit:
            n = listing.PAGE if limit is None else min(listing.PAGE, limit - n_found)
            with self._engine.connection() as connection:
                page = listing.page(connection, target, wanted, last, n, embeddings=embeddings)
            yield from page
            n_found += len(page)
            if len(page) < n:
                break
            last = page[-1].path
        if wanted:
            with self._engine.connection() as connection:
                about.explain(connection, target, wanted, n_found)

    def embeddings(self, collection: str | None = None) -> "tuple[NDArray[np.int64], Float32Array]":
        """Return the embeddings of a whole collection as one array, for computing with them.

        Args:
            collection: the name; None if there is only one.

        Returns:
            The images' ids (n,) int64, ascending, and their embeddings (n, N) float32 in the same
            order. The embeddings are of the active projection and of length one, so that inner
            products are cosine similarities. They take 4 n N bytes.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        from spocdb.db import listing

        with self._engine.connection() as connection:
            return listing.embeddings(connection, collections.get(connection, collection))

    def image(self, id: int) -> "ImageDetails":
        """Return the details of an image.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer.
        """
        from spocdb.db import catalogue
        from spocdb.sources.files import modified

        with self._engine.connection() as connection:
            found = catalogue.details(connection, checks.image_id(id))
        return found if found.table else replace(found, modified=modified(found.version))

    def count(self, filter: Filter | None = None, *, collection: str | None = None) -> int:
        """Count the images of a collection that match a filter.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md.
            collection: the name; None if there is only one.

        Returns:
            Their number.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the filter is invalid.
        """
        from spocdb.db import catalogue
        from spocdb.db import metadata as about

        wanted = to_json(filter)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            n_found = catalogue.count(connection, target, wanted)
            about.explain(connection, target, wanted, n_found)
        return n_found

    def path(self, id: int, *, collection: str | None = None) -> str:
        """Return the path, or key, of one of the collection's images.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with this id.
            InvalidValue: it is no integer.
        """
        from spocdb.db import images

        number = checks.image_id(id)
        with self._engine.connection() as connection:
            return images.path(connection, collections.get(connection, collection), number)

    def reader(self, collection: str | None = None) -> Callable[[str], bytes]:
        """Return a function that reads an image's bytes by path or key.

        It raises ImageError, and DatabaseError for the row of an attached table if the role has not
        the rights of a worker.

        Threads may share it. It takes a connection only to find the row of an attached table, and
        none while it reads a file or fetches a URL. Ask for another one after `db.tables.attach`.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        from spocdb.db import rights
        from spocdb.sources.objects import ObjectsSource
        from spocdb.sources.opening import opened, terms_of
        from spocdb.sources.rows import RowsSource
        from spocdb.sources.source import locate

        engine, limits = self._engine, self._engine.settings.limits
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            table = attachments.find(connection, target)
        terms = terms_of(engine.settings)
        source, objects = opened([], terms), ObjectsSource([], terms)

        def located(name: str) -> "Get":
            if table is None:
                return locate(source, name)
            with engine.connection() as connection:
                rights.check_worker(connection)
                rows = RowsSource(connection, target, table, limits, objects=objects)
                return locate(rows, name)

        return lambda name: located(name)(limits.max_bytes)

    def delete(
        self,
        *chosen: int | str | os.PathLike[str],
        filter: Filter | None = None,
        collection: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete images by their ids or paths, or by a filter. Files and raw descriptors stay.

        Embeddings go, and so do the thumbnails of bytes that no other image has. Each transaction
        deletes up to a thousand images. If one of them does not exist, none is deleted.

        Args:
            *chosen: ids or paths of images, which may be mixed.
            filter: a condition on the metadata, instead of ids and paths; see
                docs/reference/filters.md.
            collection: the name; None if there is only one.
            dry_run: change nothing.

        Returns:
            How many images were deleted, or would be.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: one of them is no image of the collection.
            InvalidValue: one of them is neither an integer nor a path.
            ConfigError: the collection is of an attached table; or neither images nor a filter are
                given, or both; or the filter is invalid.
        """
        from spocdb import duplicates
        from spocdb.db import catalogue, listing, spaces
        from spocdb.db import metadata as about

        wanted = to_json(filter)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            advice = "delete the rows, or attach it again with another condition"
            _refuse_attached(connection, target, advice)
            check_choice(chosen, wanted)
            if chosen:
                ids = _ids(connection, target, chosen)
            else:
                ids = [image.id for image in listing.listed(connection, target, wanted)]
                about.explain(connection, target, wanted, len(ids))
            if dry_run:
                return len(ids)
            n_deleted = catalogue.delete(connection, target, ids)
            duplicates.catch_up(connection, spaces.searched(connection, target))
            return n_deleted

    def move(
        self,
        old: str | os.PathLike[str],
        new: str | os.PathLike[str],
        *,
        collection: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Change the stored path of a file, or of all files below a folder. No file is touched.

        Ids, metadata and embeddings stay.

        Args:
            old: the stored path.
            new: the path where it is now.
            collection: the name; None if there is only one.
            dry_run: change nothing.

        Returns:
            How many images were moved, or would be.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: no image is stored at `old`, or another image is at one of the new paths.
        """
        from spocdb.db import catalogue
        from spocdb.sources import names

        here, there = names.stored(old), names.stored(new)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            _refuse_attached(connection, target, "change its image column")
            if _is_inside(here, there) or _is_inside(there, here):
                raise ConfigError(
                    f"one of {here} and {there} contains the other: move through a third path"
                )
            n_moved = catalogue.move(connection, target, here, there, dry_run=dry_run)
        if not n_moved:
            raise ConfigError(f"{target.name} has no image at {here}: see `db.images()`")
        return n_moved


def _is_inside(name: str, folder: str) -> bool:
    return f"{name}/".startswith(f"{folder.rstrip('/')}/")


def _ids(
    connection: Connection, target: Collection, chosen: Sequence[int | str | os.PathLike[str]]
) -> list[int]:
    """Return the ids of images given by id or path, each once. Raises ImageNotFound."""
    from spocdb.db import catalogue

    ids, stored = apart(chosen)
    catalogue.check_ids(connection, target, ids)
    at_paths = catalogue.ids_of(connection, target, stored)
    return list(dict.fromkeys([*ids, *at_paths]))


def apart(chosen: Sequence[int | str | os.PathLike[str]]) -> tuple[list[int], list[str]]:
    """Return the ids among images given by id or path, and the stored names of the paths."""
    from spocdb.sources import names

    paths = [one for one in chosen if isinstance(one, str | os.PathLike)]
    ids = [one for one in chosen if not isinstance(one, str | os.PathLike)]
    return checks.image_ids(ids), [names.stored(path) for path in paths]


def most_images(limit: int | None) -> int | None:
    """Return the maximum number of images. Raises InvalidValue if it is negative."""
    return None if limit is None else checks.whole("limit", limit, 0, bound="zero or more")


def check_choice(chosen: Sequence[object], filter: Json) -> None:
    """Raise ConfigError unless either images or a filter choose what is deleted."""
    if bool(chosen) == bool(filter):
        raise ConfigError("give either images or a filter, to choose what is deleted")


def _refuse_attached(connection: Connection, target: Collection, advice: str) -> None:
    if table := attachments.find(connection, target):
        raise ConfigError(
            f"{target.name} is of the rows of {table.relation}, which decides what belongs to "
            f"it: {advice}"
        )
