"""The images of a collection on several servers in the API: iterate, count, show, delete."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.engine import Engine
from spocdb.api.images import Images, apart, check_choice, most_images
from spocdb.api.part import Part
from spocdb.db.collections import Collection
from spocdb.distributed.shards.routing import own_id, own_ids, whole_id
from spocdb.distributed.shards.servers import Server, Servers, checked
from spocdb.errors import ImageNotFound
from spocdb.filters import Filter, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from spocdb.db.catalogue import ImageDetails
    from spocdb.db.listing import StoredImage

log = logging.getLogger(__name__)


class ShardedImages(Part):
    """Methods of Shards about the images that collections hold."""

    engines: tuple[Engine, ...]
    _servers: Servers

    def images(
        self,
        filter: Filter | None = None,
        *,
        collection: str | None = None,
        limit: int | None = None,
        embeddings: bool = True,
    ) -> "Iterator[StoredImage]":
        """Iterate over the images of a collection, by their path, see `Database.images`.

        Each server sorts its images; they are merged as text is compared byte by byte.

        Args:
            filter: a condition on the metadata, see docs/reference/filters.md.
            collection: the name; None if there is only one.
            limit: the maximum number of images, zero or more; None for all.
            embeddings: also fetch each image's embedding (N,).

        Yields:
            The images, with id, path, metadata and embedding.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `limit` is negative.
            ConfigError: the filter is invalid.
        """
        from spocdb.db import listing

        limit = most_images(limit)
        wanted, parts = to_json(filter), self._parts(collection)

        def pages(server: Server, part: Collection) -> "Iterator[StoredImage]":
            last: str | None = None
            while True:
                with server.named(), server.connection() as connection:
                    page = listing.page(
                        connection, part, wanted, last, listing.PAGE, embeddings=embeddings
                    )
                for image in page:
                    yield replace(image, id=whole_id(image.id, server.place, server.n))
                if len(page) < listing.PAGE:
                    return
                last = page[-1].path

        each = (pages(server, part) for server, part in zip(self._servers, parts, strict=True))
        found = islice(merge(*each, key=lambda image: image.path), limit)
        if (first := next(found, None)) is None:
            self._explain(parts[0], wanted, 0)
            return
        yield first
        yield from found

    def count(self, filter: Filter | None = None, *, collection: str | None = None) -> int:
        """Count the images of a collection that match a filter.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the filter is invalid.
        """
        wanted, parts = to_json(filter), self._parts(collection)
        n_found = self._count(parts, wanted)
        self._explain(parts[0], wanted, n_found)
        return n_found

    def image(self, id: int) -> "ImageDetails":
        """Return the details of an image; numbers of projections are those of its server.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer.
        """
        place, own = own_id(checks.image_id(id), len(self.engines))
        with self._servers[place].named(), _said_as(id):
            return replace(Images(self.engines[place]).image(own), id=id)

    def path(self, id: int, *, collection: str | None = None) -> str:
        """Return the path of one of the collection's images.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with this id.
            InvalidValue: it is no integer.
        """
        place, own = own_id(checks.image_id(id), len(self.engines))
        with self._servers[place].named(), _said_as(id):
            return Images(self.engines[place]).path(own, collection=collection)

    def reader(self, collection: str | None = None) -> "Callable[[str], bytes]":
        """Return a function that reads an image's bytes by path, see `Database.reader`.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        return Images(self._engine).reader(self._parts(collection)[0].name)

    def delete(
        self,
        *chosen: int | str | os.PathLike[str],
        filter: Filter | None = None,
        collection: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete images by their ids or paths, or by a filter; see `Database.delete`.

        If one of them does not exist, none is deleted. If a server is lost meanwhile, the others
        have deleted theirs.

        Args:
            *chosen: ids or paths of images, which may be mixed.
            filter: a condition on the metadata, instead of ids and paths.
            collection: the name; None if there is only one.
            dry_run: change nothing.

        Returns:
            How many images were deleted, or would be.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: one of them is no image of the collection.
            InvalidValue: one of them is neither an integer nor a path.
            ConfigError: neither images nor a filter are given, or both; or the filter is invalid.
        """
        from spocdb.db import catalogue

        wanted, parts = to_json(filter), self._parts(collection)
        check_choice(chosen, wanted)
        ids = self._chosen(parts, chosen) if chosen else self._matching(parts, wanted)
        n_found = sum(map(len, ids))
        if wanted:
            self._explain(parts[0], wanted, n_found)
        if dry_run:
            return n_found

        def delete(server: Server, item: tuple[Collection, list[int]]) -> int:
            with server.connection() as connection:
                return catalogue.delete(connection, *item)

        return sum(self._servers.with_each([*zip(parts, ids, strict=True)], delete))

    def _parts(self, name: str | None) -> list[Collection]:
        return checked(self._servers, name)

    def _explain(self, target: Collection, filter: Json, n_found: int) -> None:
        # What no image of one server has, images of others may have.
        if filter and not n_found and not self._count(self._parts(target.name), filter):
            log.warning("no image of %s matches the filter, on any server", target.name)

    def _count(self, parts: Sequence[Collection], wanted: Json) -> int:
        from spocdb.db import catalogue

        def count(server: Server, part: Collection) -> int:
            with server.connection() as connection:
                return catalogue.count(connection, part, wanted)

        return sum(self._servers.with_each(parts, count))

    def _matching(self, parts: Sequence[Collection], wanted: Json) -> list[list[int]]:
        """Return for each server the ids there of images that match a filter."""
        from spocdb.db import listing

        def ids(server: Server, part: Collection) -> list[int]:
            with server.connection() as connection:
                return [image.id for image in listing.listed(connection, part, wanted)]

        return self._servers.with_each(parts, ids)

    def _chosen(
        self, parts: Sequence[Collection], chosen: Sequence[int | str | os.PathLike[str]]
    ) -> list[list[int]]:
        """Return for each server the ids there of images given by id or path, each once."""
        from spocdb.db import catalogue

        n = len(parts)
        whole, paths = apart(chosen)
        ids = own_ids(whole, n)

        def find(server: Server, part: Collection) -> tuple[list[int], dict[str, int]]:
            with server.connection() as connection:
                unknown = catalogue.unknown(connection, part, ids[server.place])
                return unknown, catalogue.at_paths(connection, part, paths)

        found = self._servers.with_each(parts, find)
        lacking = [whole_id(id, i, n) for i, (ids_, _) in enumerate(found) for id in ids_]
        there = {path for _, at_paths in found for path in at_paths}
        if missing := [*map(str, sorted(lacking)), *(path for path in paths if path not in there)]:
            raise catalogue.none_of(parts[0], missing)
        return [
            list(dict.fromkeys([*own, *at_paths.values()]))
            for own, (_, at_paths) in zip(ids, found, strict=True)
        ]


@contextmanager
def _said_as(id: int) -> Iterator[None]:
    """Say the id of an image among all servers in the error that it is not found."""
    try:
        yield
    except ImageNotFound:
        raise ImageNotFound(f"there is no image {id}: see `db.images()`") from None
