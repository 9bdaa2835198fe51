"""Answering queries: pictures that clients put into spocdb.queries become embeddings there.

    row -> taken -> decode apart -> network -> SQL: PCA, whiten, L2 -> row, NOTIFY

A worker does this in a thread with a connection of its own, because somebody waits for the answer
while the worker's turns take up to a minute.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from spocdb import search as searching
from spocdb.db import collections, connections, queries
from spocdb.db.connections import Connection
from spocdb.db.queries import Query
from spocdb.db.waiting import notification
from spocdb.db.watching import Watch
from spocdb.errors import (
    CollectionNotFound,
    DatabaseLost,
    ImageError,
    ImageTooLarge,
    ProcessLost,
    ProjectionNotFound,
    SpocdbError,
)
from spocdb.images.apart import Apart
from spocdb.records import Crop, Decoded, Float32Array, Recipe
from spocdb.settings import Limits
from spocdb.text import one_line

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)

# Workers that may be lost while they have a query.
MOST_TRIES = 3
# Errors of the question itself. The messages of others may show paths of the worker's machine.
TOLD = (ImageError, CollectionNotFound, ProjectionNotFound)
# Well before the time is over for which a worker holds a query.
SECONDS_BETWEEN_HOLDS = queries.SECONDS_HELD / 3
# How long a query may go on when the worker is stopped.
SECONDS_WHEN_STOPPED = 2.0


class Answers(AbstractContextManager["Answers"]):
    """The answers that one worker gives while the context lasts.

    `load_extractor` loads a network in float32. Without a notification the table is polled every
    `poll` seconds.
    """

    def __init__(
        self,
        load_extractor: "Callable[[Recipe], Extractor]",
        limits: Limits,
        poll: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._load, self._limits, self._poll = load_extractor, limits, poll
        self._is_stopped, self._is_over = is_stopped, Event()
        # A picture that crashes its decoder must not end the worker, which has rows of others too.
        self._apart = Apart()
        # One thread answers, the other describes its pictures.
        self._pool = ThreadPoolExecutor(2, "answer")
        self._thread: Future[None] | None = None

    def start(self, watch: Watch) -> None:
        """Answer in a thread from now on."""
        self._thread = self._pool.submit(self._go_on, watch)

    def check(self) -> None:
        """Raise what ended the thread, if it has ended.

        Raises:
            DatabaseLost: Its connection was lost.
            RightMissing: The role has not the rights of a worker.
        """
        if self._thread and self._thread.done():
            self._thread.result()

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        try:
            if self._thread:
                wait([self._thread], SECONDS_WHEN_STOPPED)
        finally:
            self._apart.close()  # ends a picture that still is being decoded
            self._pool.shutdown()

    def give_due(self, connection: Connection) -> None:
        """Answer the queries that wait now, and delete expired ones."""
        queries.delete_expired(connection)
        while not self._is_ending() and (query := queries.take(connection, self._limits.max_bytes)):
            self._give(connection, query)
            queries.delete_expired(connection)

    def _go_on(self, watch: Watch) -> None:
        with connections.wrapped(), watch.open() as connection:
            connection.execute(f"LISTEN {queries.CHANNEL}")
            while not self._is_ending():
                self.give_due(connection)
                notification(connection, self._poll, self._is_ending)

    def _is_ending(self) -> bool:
        return self._is_over.is_set() or self._is_stopped()

    def _give(self, connection: Connection, query: Query) -> None:
        """Answer a query with its embedding, or with what is wrong with it."""
        try:
            with connections.wrapped():
                answer = self._answer(connection, query)
        except DatabaseLost:
            raise
        # Any other error concerns this query, also one that torch raises because a device has no
        # memory left. It must end neither this worker nor the next one that takes the query.
        except Exception as exc:
            if self._is_ending():  # decoding or a statement may have been cancelled
                queries.give_back(connection, query)
            else:
                queries.refuse(connection, query, _code(exc), _told(query, exc))
        else:
            queries.answer(connection, query, *answer)
        log.debug("answered query %d about %s", query.id, query.collection)

    def _answer(self, connection: Connection, query: Query) -> tuple[Float32Array, int]:
        """Return the embedding (N,) of a query's picture, and the projection that made it."""
        if query.tries > MOST_TRIES:
            raise ProcessLost(f"{query.tries - 1} workers were lost while they had it")
        if query.picture is None:
            most = self._limits.max_bytes
            raise ImageTooLarge(f"it has {query.n_bytes} bytes, a worker takes {most} at most")
        found = collections.find(connection, query.collection)
        if found is None:
            raise CollectionNotFound(f"there is no collection named {query.collection}")
        # By this projection, even if another one is activated meanwhile.
        projection = found.active_projection_id
        describe = partial(self._describe_held, connection, query, query.picture)
        embedding = searching.embed(lambda: nullcontext(connection), found, describe, projection)
        return embedding, projection

    def _describe_held(
        self, connection: Connection, query: Query, picture: bytes, recipe: Recipe
    ) -> Float32Array:
        """Describe a query's picture in another thread; hold the query meanwhile.

        Waiting for memory that a turn holds, or loading a network, may take longer than the time
        for which `queries.take` holds it.
        """
        described = self._pool.submit(self._describe, picture, query.crop, recipe)
        while not wait([described], SECONDS_BETWEEN_HOLDS).done:
            queries.hold(connection, query)
        return described.result()

    def _describe(self, picture: bytes, crop: Crop | None, recipe: Recipe) -> Float32Array:
        load = partial(self._load, recipe)
        return searching.describe(picture, recipe, load, self._limits, crop, self._decode)

    def _decode(self, *arguments: Any) -> Decoded:
        try:
            return self._apart.decode(*arguments)
        except ProcessLost as exc:
            raise ProcessLost(
                "decoding it ended a process, or there was no memory for it: ask again later, or "
                "with another file"
            ) from exc


def _code(error: Exception) -> str:
    return error.code if isinstance(error, SpocdbError) else SpocdbError.code


def _told(query: Query, error: Exception) -> str:
    """Return what a client is told of an error; log the others, which are the worker's."""
    if isinstance(error, TOLD):
        return one_line(str(error))
    # The traceback only of errors that spocdb does not raise on purpose.
    trace = None if isinstance(error, SpocdbError) else error
    log.warning("%s: a query cannot be answered: %s", query.collection, error, exc_info=trace)
    return f"a worker cannot describe pictures of {query.collection}: its log says why"
