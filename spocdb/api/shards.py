"""A database of several servers in the API: `spocdb.connect_shards()` returns Shards."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from heapq import merge
from typing import TYPE_CHECKING, Self

from spocdb import checks
from spocdb.api.collections import Collections
from spocdb.api.engine import Engine
from spocdb.api.ingesting import Ingesting
from spocdb.api.searching import Searching
from spocdb.api.sharded_images import ShardedImages
from spocdb.db import collections
from spocdb.db.collections import Collection, CollectionSummary
from spocdb.db.search import Hit
from spocdb.distributed.shards import searching
from spocdb.distributed.shards.servers import Server, Servers
from spocdb.errors import ConfigError
from spocdb.search import Describe, Request
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.api.sharded import ShardedIndex, ShardedPca
    from spocdb.db.runs import Failure
    from spocdb.destination import Destination
    from spocdb.storing import Store


class Shards(ShardedImages, Ingesting, Searching):
    """Collections on several servers, with the methods of Database that work over all of them.

    Each image is on the server that the sha256 of its bytes names. The first server has the numbers
    of projections; an image's id says its server: id % n is the place, id // n the id there. If a
    server does not answer, every method raises, and names it. Threads may share a Shards.

    Attributes:
        engines: the servers' connections and networks, in the order in which they were named.
        pca: projections, see ShardedPca.
        index: HNSW indexes, see ShardedIndex.
    """

    def __init__(self, engines: Sequence[Engine], *, closes_engines: bool = False) -> None:
        if not engines:
            raise ConfigError("name one server or more")
        # The first one loads the networks.
        super().__init__(engines[0])
        self.engines, self._closes_engines = tuple(engines), closes_engines
        n = len(engines)
        self._servers = Servers(
            [Server(i, n, engine.connection, engine.connect) for i, engine in enumerate(engines)]
        )
        try:
            self._servers.check_distinct()
        except BaseException:
            self.close()
            raise

    # Imported when they are used first: together they take longer than a search.

    @cached_property
    def pca(self) -> "ShardedPca":
        """Return the projections."""
        from spocdb.api.sharded import ShardedPca

        return ShardedPca(self._engine, self._servers)

    @cached_property
    def index(self) -> "ShardedIndex":
        """Return the HNSW indexes."""
        from spocdb.api.sharded import ShardedIndex

        return ShardedIndex(self.engines, self._servers)

    @property
    def settings(self) -> Settings:
        """Return the settings that the first server's engine was opened with."""
        return self._engine.settings

    def check(self) -> None:
        """Check that every server answers and has this program's schema.

        Raises:
            DatabaseLost: one does not answer.
            SchemaOutOfDate: the schema of one is missing, older or newer.
        """
        self._servers.each(lambda server: self.engines[server.place].check())

    def collections(self) -> list[CollectionSummary]:
        """List the collections, by name, with the counts of all servers."""

        def summaries(server: Server) -> dict[str, CollectionSummary]:
            with server.connection() as connection:
                return {one.name: one for one in collections.summaries(connection)}

        found = self._servers.each(summaries)
        names = sorted({name for there in found for name in there})
        return [_added([there[name] for there in found if name in there]) for name in names]

    def collection(self, name: str | None = None) -> str:
        """Return the name of a collection, also if only some servers have it.

        None is the only one, or else photos.

        Raises:
            CollectionNotFound: there is no such collection, or several and none is named.
            InvalidValue: the name is no text.
        """
        if name is not None:
            checks.text("collection", name)

        def has(server: Server) -> bool:
            with server.connection() as connection:
                return collections.find(connection, str(name)) is not None

        if name is not None and any(self._servers.each(has)):
            return name
        with self._servers.first.named():
            return Collections(self._engine).collection(name)

    def drop(self, collection: str) -> None:
        """Drop a collection on each server; raw descriptors stay, so that ingesting again is cheap.

        Raises:
            CollectionNotFound: no server has such a collection.
            InvalidValue: the name is no text.
            DatabaseError: something in a database depends on its view.
        """
        checks.text("collection", collection)

        def drop(server: Server) -> bool:
            with server.connection() as connection:
                if found := collections.find(connection, collection):
                    collections.drop(connection, found)
                return found is not None

        if not any(self._servers.each(drop)):
            Collections(self._engine).collection(collection)

    def failures(self, collection: str | None = None) -> "Iterator[Failure]":
        """Iterate over the images that could not be stored, of one collection or of all.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        each = self._servers.each(
            lambda server: Collections(self.engines[server.place]).failures(collection)
        )
        return merge(*each, key=lambda failure: (failure.collection, failure.path))

    def close(self) -> None:
        """Close the engines' connections, if `spocdb.connect_shards` opened them for this."""
        self._servers.close()
        if self._closes_engines:
            for engine in self.engines:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def _destination(
        self, collection: str, store: "Store | None" = None
    ) -> "Iterator[Destination]":
        from spocdb.distributed.shards.destination import ShardedCollection

        assert store is None, "Ray is refused"
        with self._servers.held() as held:
            yield ShardedCollection(self._servers, held, collection)

    def _check_ray(self, ray: str | None) -> None:
        if ray is not None:
            raise ConfigError("ray is not for several servers: ingest without it", field="ray")

    def _searched(
        self,
        target: Collection,
        described: Describe,
        request: Request,
        like: Sequence[int],
        unlike: Sequence[int],
    ) -> list[Hit]:
        _refuse_several([*like, *unlike])
        return searching.searched(self._servers, self._parts(target.name), described, request)

    def _similar(
        self, target: Collection, ids: Sequence[int], request: Request, unlike: Sequence[int]
    ) -> list[Hit]:
        _refuse_several([*ids[1:], *unlike])
        return searching.similar(self._servers, self._parts(target.name), ids[0], request)

    @contextmanager
    def looked_after(self) -> Iterator[None]:
        """Log who holds a lock that a statement waits for, see `Engine.looked_after`.

        If a call is interrupted in the block, the statements that it runs on the servers are
        cancelled.
        """
        with ExitStack() as stack:
            for engine in self.engines:
                stack.enter_context(engine.looked_after(self._servers.is_interrupted))
            yield


def _added(parts: Sequence[CollectionSummary]) -> CollectionSummary:
    """Return the summary of a collection from those of its parts, the first server's first."""
    return replace(
        parts[0],
        n_images=sum(part.n_images for part in parts),
        n_failures=sum(part.n_failures for part in parts),
    )


def _refuse_several(ids: Sequence[int]) -> None:
    if ids:
        raise ConfigError(
            "a collection on several servers is searched by one picture or one stored image: leave "
            "out the others"
        )
