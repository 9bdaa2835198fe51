"""What all parts of the API share: one open database, and the networks loaded so far."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spocdb.db import collections, embedded, engine, schema
from spocdb.db.collections import Collection
from spocdb.db.watching import Watch
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import locate, locate_codebook
from spocdb.progress import Say
from spocdb.records import Recipe
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor, Precision

log = logging.getLogger(__name__)


class Session:
    """An open database whose schema is the newest.

    A foreign database that needs a migration raises SchemaOutOfDate; the embedded one is spocdb's
    own and is migrated at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = settings.database_url or embedded.start(settings.data_dir)
        self._watch: Watch | None = None
        self.connection = self.connect()
        try:
            with engine.wrapped():
                if settings.database_url is None and schema.is_upgradable(self.connection):
                    schema.upgrade(self.url)
                    self.connection.close()
                    self.connection = self.connect()
                schema.check(self.connection)
        except BaseException:
            self.connection.close()
            raise
        self._extractors: dict[tuple[str, str, str], Extractor] = {}

    def connect(self) -> engine.Connection:
        """Open another connection to the same database, looked after as the session is."""
        connection = self.connect_alone()
        if self._watch:
            self._watch.add(connection)
        return connection

    def connect_alone(self) -> engine.Connection:
        """Open another connection that nobody looks after."""
        return engine.connect(self.url)

    @contextmanager
    def looked_after(self, say: Say, is_stopped: Callable[[], bool]) -> Iterator[None]:
        """Look after this session's connections while the block lasts: see db.watching."""
        with Watch(self.connect_alone, say, is_stopped) as watch:
            watch.add(self.connection)
            self._watch = watch
            try:
                yield
            finally:
                self._watch = None

    def extractor(self, recipe: Recipe, device: str, precision: "Precision") -> "Extractor":
        """Return a recipe's network, loaded at most once. Raises WeightsNotFound, ConfigError."""
        from spocdb.features.extractor import load_extractor

        key = (recipe.fingerprint, device, precision)
        if key not in self._extractors:
            weights = locate(recipe, self.settings.cache_dir)
            codebook = locate_codebook(recipe, self.settings.cache_dir)
            began = time.monotonic()
            self._extractors[key] = load_extractor(recipe, weights, device, precision, codebook)
            log.debug("loaded %s in %.2f s", recipe.name, time.monotonic() - began)
        return self._extractors[key]

    def choose(self, wanted: Wanted, found: Collection | None = None) -> Recipe:
        """Return the recipe that is meant. Raises ConfigError and WeightsNotFound."""
        known = [e.recipe for e in collections.extractor_summaries(self.connection)]
        return choose(wanted, found.recipe if found else None, known, self.settings.cache_dir)

    def prove(self, recipe: Recipe, device: str, precision: "Precision") -> None:
        """Load a new recipe's network: weights that do not fit must not become an extractor."""
        known = collections.extractor_summaries(self.connection)
        if all(recipe != e.recipe for e in known):
            self.extractor(recipe, device, precision)
