"""The servers of a sharded database, and what is done on all of them at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from spocdb.db import collections, connections, shards
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.distributed.shards.routing import is_of_more, place_of
from spocdb.errors import CollectionNotFound, ConfigError, ImageError, ImageNotFound, SpocdbError
from spocdb.search import Connections

Result = TypeVar("Result")
Item = TypeVar("Item")

# Calls that may wait for the servers at the same time; further ones queue.
CALLS_AT_ONCE = 10
# How long an interrupted call waits for its statements, which are cancelled if somebody looks after
# the connections (`Engine.looked_after`).
SECONDS_TO_CANCEL = 3.0


@dataclass(frozen=True, slots=True)
class Server:
    """One of `n` servers, at a place of 0 to n - 1.

    `connection` takes a connection from its pool for a block, `connect` opens another one.
    """

    place: int
    n: int
    connection: Connections
    connect: Callable[[], Connection]

    def __str__(self) -> str:
        return f"server {self.place + 1} of {self.n}"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the server in an error of the block; turn the driver's errors into spocdb's own."""
        try:
            with connections.wrapped():
                yield
        except SpocdbError as error:
            # An error about an image says the same wherever the image is.
            is_of_image = isinstance(error, ImageError | ImageNotFound)
            if not is_of_image and not str(error).startswith("server "):
                error.args = (f"{self}: {error}",)
            raise


class Servers:
    """All servers, in the order in which they were named, and threads to ask them in parallel."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE * len(servers), "servers")
        self._interrupted = Event()

    def is_interrupted(self) -> bool:
        """Return whether a wait for the servers was interrupted: then statements are cancelled."""
        return self._interrupted.is_set()

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def __getitem__(self, place: int) -> Server:
        return self._servers[place]

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def first(self) -> Server:
        """Return the server whose active projection and numbers are those of the collection."""
        return self._servers[0]

    def each(self, act: Callable[[Server], Result]) -> list[Result]:
        """Do something on each server at once; return the results, in order.

        Raises the first server's error, after all have ended: nothing is answered by some of them.
        """
        return self.with_each(self._servers, lambda server, _: act(server))

    def with_each(
        self, items: Sequence[Item], act: Callable[[Server, Item], Result]
    ) -> list[Result]:
        """Do something on each server with its item of a list, see `each`."""

        def named(server: Server, item: Item) -> Result:
            with server.named():
                return act(server, item)

        pairs = zip(self._servers, items, strict=True)
        running = [self._threads.submit(named, server, item) for server, item in pairs]
        try:
            wait(running)
        except BaseException:
            self._interrupted.set()
            wait(running, SECONDS_TO_CANCEL)
            raise
        return [one.result() for one in running]

    @contextmanager
    def held(self) -> Iterator[list[Connection]]:
        """Take a connection to each server from its pool for the block."""
        with ExitStack() as stack:
            held = []
            for server in self:
                with server.named():
                    held.append(stack.enter_context(server.connection()))
            yield held

    def check_distinct(self) -> None:
        """Raise ConfigError if two of the servers are one database."""

        def identity(server: Server) -> tuple[object, ...]:
            with server.connection() as connection:
                return shards.identity(connection)

        seen: dict[tuple[object, ...], Server] = {}
        for server, found in zip(self, self.each(identity), strict=True):
            if found in seen:
                raise ConfigError(
                    f"{seen[found]} and {server} are one database: name each database once"
                )
            seen[found] = server

    def close(self) -> None:
        """End the threads; those that still wait for a server are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def checked(servers: Servers, name: str | None) -> list[Collection]:
    """Return a collection's part on each server, after checks that they belong together.

    Raises:
        CollectionNotFound: A server lacks it.
        ConfigError: The parts have several extractors, or contents lie on other servers than
            their sha256 names.
    """
    with servers.first.named(), servers.first.connection() as connection:
        first = collections.get(connection, name)

    def part(server: Server) -> Collection:
        with server.connection() as connection:
            if (found := collections.find(connection, first.name)) is None:
                raise CollectionNotFound(
                    f"there is no collection {first.name}, and others have it: ingest into it again"
                )
            check_places(connection, server, found)
            return found

    parts = servers.each(part)
    check_recipes(parts)
    return parts


def check_recipes(parts: Sequence[Collection]) -> None:
    """Raise ConfigError if the parts of a collection have several extractors."""
    names = [part.recipe.name for part in parts]
    if len(set(names)) > 1:
        raise ConfigError(
            f"the parts of collection {parts[0].name} have several extractors, by server: "
            f"{', '.join(names)}: activate projections of one extractor on each server"
        )


def check_places(connection: Connection, server: Server, collection: Collection) -> None:
    """Check that contents on a server belong there, if it is one of n in this order.

    Raises:
        ConfigError: Some do not: the servers are others, or named in another order.
    """
    advice = "name the same servers in the same order as when it was ingested"
    found = shards.sample(connection, collection)
    for path, sha256 in found:
        if (place := place_of(sha256, server.n)) != server.place:
            raise ConfigError(
                f"{path} of collection {collection.name} belongs to server {place + 1} of "
                f"{server.n}: {advice}"
            )
    if is_of_more((sha256 for _, sha256 in found), server.n):
        raise ConfigError(f"collection {collection.name} is on more than {server.n}: {advice}")
