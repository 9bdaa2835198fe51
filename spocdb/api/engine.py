"""The engine: what a process has of one database, shared by all of its threads."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Self

from spocdb.db import engine, schema
from spocdb.db.pool import Pool
from spocdb.db.watching import Watch
from spocdb.errors import ConfigError, InvalidValue
from spocdb.features.weights import locate, locate_codebook
from spocdb.records import Recipe
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor, Precision

# Connections of one process. Calls that wait for the network of an extractor hold none.
POOL_SIZE = 10

log = logging.getLogger(__name__)


class Engine:
    """A database's connections and the networks loaded so far: one for each process.

    Threads share it. `Database(engine)` costs nothing: make one for each thread or request.
    Nothing in the database is changed by opening it: a schema that is missing or older raises
    SchemaOutOfDate, and `spocdb db init` or `spocdb db upgrade` mends that.

    Args:
        settings: where the database is, and the limits for images. `database_url` must be given:
            the embedded server is started by `spocdb.connect`.
        pool_size: how many connections are opened at most; a call takes one while it needs it.

    Raises:
        ConfigError: the settings name no database, or its address is malformed.
        DatabaseLost: the database cannot be reached.
        SchemaOutOfDate: the schema is missing, older or newer than this program.
    """

    def __init__(self, settings: Settings, *, pool_size: int = POOL_SIZE) -> None:
        if settings.database_url is None:
            raise ConfigError("an Engine needs a database_url: spocdb.connect() has a default")
        if pool_size < 1:
            raise InvalidValue("pool_size", pool_size, "at least 1")
        self.settings, self.url = settings, settings.database_url
        self._pool = Pool(self.url, pool_size)
        self._extractors: dict[tuple[str, str, str], Extractor] = {}
        self._loading = Lock()
        self._watch: Watch | None = None
        try:
            with self.connection() as connection:
                schema.check(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; an embedded server runs on."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def connection(self) -> Iterator[engine.Connection]:
        """Take a connection of the pool for the block; the driver's errors become spocdb's own.

        Everything that the API does in the database goes through here.

        Raises:
            DatabaseLost: the database cannot be reached, or the connection broke.
            DatabaseBusy: all connections were in use for 30 s.
            DatabaseError: a statement failed.
        """
        with self._pool.connection() as connection:
            if self._watch:
                self._watch.add(connection)
            yield connection

    def connect(self) -> engine.Connection:
        """Open a connection beside the pool, for a thread that writes or reads along with a call.

        Not one of the pool's: calls that each held one and waited for another would never end. To
        be closed by the caller, within a block of `connection`, which wraps its errors too.
        """
        connection = engine.connect(self.url)
        if self._watch:
            self._watch.add(connection)
        return connection

    @contextmanager
    def looked_after(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Say who holds a lock that is waited for, and leave a server that does not answer.

        While the block lasts, for all connections that are used in it. Once `is_stopped`, a
        statement that lasts seconds is cancelled.
        """
        with Watch(lambda: engine.connect(self.url), is_stopped) as watch:
            self._watch = watch
            try:
                yield
            finally:
                self._watch = None

    def extractor(
        self, recipe: Recipe, device: str = "auto", precision: "Precision" = "auto"
    ) -> "Extractor":
        """Return a recipe's network, loaded at most once; threads share it.

        Raises:
            WeightsNotFound: its weights are not on this machine and cannot be downloaded.
            ConfigError: there is no such device or precision, or the weights do not fit.
        """
        from spocdb.features.extractor import load_extractor

        key = (recipe.fingerprint, device, precision)
        # One at a time: a second thread that wants the same one waits for it.
        with self._loading:
            if key not in self._extractors:
                weights = locate(recipe, self.settings.cache_dir)
                codebook = locate_codebook(recipe, self.settings.cache_dir)
                began = time.monotonic()
                self._extractors[key] = load_extractor(recipe, weights, device, precision, codebook)
                log.debug("loaded %s in %.2f s", recipe.name, time.monotonic() - began)
            return self._extractors[key]
