"""The engine: a process's connections and networks for one database, shared by its threads."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Self

from spocdb import checks
from spocdb.db import connections, schema
from spocdb.db.pool import Pool
from spocdb.db.watching import Watch
from spocdb.errors import ConfigError
from spocdb.records import Recipe
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor
    from spocdb.features.plain import Stack
    from spocdb.features.precision import Precision

# Connections of one process. A search holds none while the network computes.
POOL_SIZE = 10
# Seconds; PostgreSQL counts a statement_timeout in milliseconds, in 32 bits.
LONGEST_STATEMENT = 2_147_483

# Queries that NumPy computes before torch is loaded, which takes as long as some ten of them.
MOST_WITHOUT_TORCH = 10

log = logging.getLogger(__name__)


class Engine:
    """A database's connection pool and the networks loaded so far; one engine per process.

    Threads share it. `Database(engine)` costs nothing: create one for each thread or request.
    Opening an engine changes nothing in the database. If the schema is missing or older, it raises
    SchemaOutOfDate; `spocdb db init` or `spocdb db upgrade` fixes that.

    Args:
        settings: where the database is, and the limits for images. `database_url` must be given:
            the embedded server is started by `spocdb.connect`.
        pool_size: how many connections are opened at most; a call takes one while it needs it.
        statement_seconds: how long a statement may run; None is as long as it takes, or as a
            statement_timeout of PGOPTIONS or of the URL's options says.

    Raises:
        ConfigError: the settings name no database, or its address is malformed.
        InvalidValue: `pool_size` or `statement_seconds` is out of range.
        DatabaseLost: the database cannot be reached.
        SchemaOutOfDate: the schema is missing, older or newer than this program.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool_size: int = POOL_SIZE,
        statement_seconds: float | None = None,
    ) -> None:
        if settings.database_url is None:
            raise ConfigError("an Engine needs a database_url: spocdb.connect() has a default")
        checks.whole("pool_size", pool_size, 1, bound="at least 1")
        if statement_seconds is not None:
            checks.number("statement_seconds", statement_seconds, 0, LONGEST_STATEMENT)
        self.settings, self.url = settings, settings.database_url
        self.statement_seconds = statement_seconds
        self._pool = Pool(self.url, pool_size, statement_seconds)
        self._extractors: dict[tuple[str, str, str], Extractor] = {}
        self._stacks: dict[str, Stack | None] = {}
        self._n_described = 0
        self._loading = Lock()
        self._watch: Watch | None = None
        try:
            self.check()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Check that the database answers and has this program's schema.

        Raises:
            DatabaseLost: it does not answer.
            SchemaOutOfDate: its schema is missing, older or newer.
        """
        with self.connection() as connection:
            schema.check(connection)

    def close(self) -> None:
        """Close all connections; an embedded server runs on."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def connection(self) -> Iterator[connections.Connection]:
        """Take a connection from the pool for the block; wrap the driver's errors in spocdb's.

        Every API call uses the database through this method.

        Raises:
            DatabaseLost: the database cannot be reached, or the connection broke.
            DatabaseBusy: all connections were in use for 30 s.
            DatabaseError: a statement failed.
        """
        with self._pool.connection() as connection:
            if self._watch:
                self._watch.add(connection)
            yield connection

    def connect(self) -> connections.Connection:
        """Open a connection outside the pool, for a thread that writes or reads during a call.

        A second connection from the pool could deadlock: calls that each hold one would wait for
        each other. The caller closes it, within a block of `connection`, which wraps its errors
        too.
        """
        connection = connections.connect(self.url, self.statement_seconds)
        if self._watch:
            self._watch.add(connection)
        return connection

    @contextmanager
    def looked_after(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Log who holds a lock that a statement waits for; abandon a server that does not answer.

        This holds for all connections used in the block. Once `is_stopped` returns True, a
        statement that has run for seconds is cancelled.
        """
        with Watch(lambda: connections.connect(self.url), is_stopped) as watch:
            self._watch = watch
            try:
                yield
            finally:
                self._watch = None

    def extractor(
        self, recipe: Recipe, device: str = "auto", precision: "Precision" = "auto"
    ) -> "Extractor":
        """Return a recipe's network, loaded once and shared by all threads.

        Raises:
            WeightsNotFound: its weights are not on this machine and cannot be downloaded.
            ConfigError: there is no such device or precision, or the weights do not fit.
        """
        from spocdb.features.extractor import load_extractor
        from spocdb.features.precision import settled
        from spocdb.features.weights import locate, locate_codebook

        asked = (recipe.fingerprint, device, precision)
        # The lock is held while a network loads, so that two threads never load the same one.
        with self._loading:
            if asked in self._extractors:
                return self._extractors[asked]
            # A worker asks for "auto" for rows and "float32" for queries, often the same.
            key = (recipe.fingerprint, device, settled(precision, recipe, device))
            if key not in self._extractors:
                weights = locate(recipe, self.settings.cache_dir)
                codebook = locate_codebook(recipe, self.settings.cache_dir)
                began = time.monotonic()
                self._extractors[key] = load_extractor(recipe, weights, device, precision, codebook)
                log.debug("loaded %s in %.2f s", recipe.name, time.monotonic() - began)
            self._extractors[asked] = self._extractors[key]
            return self._extractors[asked]

    def describer(self, recipe: Recipe, device: str = "auto") -> "Extractor | Stack":
        """Return what describes a single image by a recipe, in float32.

        That is the recipe's network; for the first images of a process NumPy, see `stack`.

        Raises:
            WeightsNotFound: its weights are not on this machine and cannot be downloaded.
            ConfigError: there is no such device, or the weights do not fit.
        """
        self._n_described += 1
        if self._n_described <= MOST_WITHOUT_TORCH and (stack := self.stack(recipe, device)):
            return stack
        # One image gains nothing from a lower precision.
        return self.extractor(recipe, device, "float32")

    def stack(self, recipe: Recipe, device: str = "auto") -> "Stack | None":
        """Return a recipe's network in NumPy, for a few images on a CPU, in float32.

        None if torch is loaded already, or if NumPy cannot do what the recipe asks for.

        Raises:
            WeightsNotFound: its weights are not on this machine and cannot be downloaded.
        """
        from spocdb.features import plain
        from spocdb.features.weights import locate

        if device not in ("auto", "cpu") or "torch" in sys.modules or not plain.computes(recipe):
            return None
        with self._loading:
            if recipe.fingerprint not in self._stacks:
                weights = locate(recipe, self.settings.cache_dir)
                self._stacks[recipe.fingerprint] = plain.load(recipe, weights)
            return self._stacks[recipe.fingerprint]
