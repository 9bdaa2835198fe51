"""An actor of a cluster: it stores units of images from its node, by the one pipeline.

It knows nothing of Ray, which calls it. Errors are returned and not raised, so that they arrive as
they are.
"""

import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Protocol

from spocdb import storing
from spocdb.db import archives, collections
from spocdb.db.connections import Connection
from spocdb.distributed.units import LOST_UNTIL_APART, Unit
from spocdb.errors import ConfigError, ImageError, SpocdbError
from spocdb.features.weights import remember
from spocdb.pipeline.extraction import OnDemand
from spocdb.progress import Progress
from spocdb.records import Choice, ImageRef, Recipe
from spocdb.settings import Settings, from_environment
from spocdb.sources.opening import opened, terms_of
from spocdb.storing import StoringOptions
from spocdb.verdicts import told_here

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor
    from spocdb.features.precision import Precision

# Units that an actor has at a time: while one ends, the next one keeps the device busy.
UNITS_AT_ONCE = 2


class Opened(Protocol):
    """An open database and its networks: the API's engine."""

    def connection(self) -> AbstractContextManager[Connection]:
        """Take a connection from the pool for the block."""
        ...

    def connect(self) -> Connection:
        """Open a connection outside the pool."""
        ...

    def extractor(self, recipe: Recipe, device: str, precision: "Precision") -> "Extractor":
        """Return a recipe's network."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What all actors of a run do: as `Database.ingest` was called, in the caller's limits.

    `open` opens the database `url` with the node's settings. `files` are of weights and codebooks,
    which each node has under the same path.
    """

    open: Callable[[Settings], Opened]
    # It may hold a password.
    url: str = field(repr=False)
    choice: Choice
    max_pixels: int
    max_bytes: int
    allow_private: bool
    files: Sequence[str]
    device: str
    precision: "Precision"


@dataclass(frozen=True, slots=True)
class Job:
    """An order, with the collection to store into and how."""

    order: Order
    collection: str
    options: StoringOptions


@dataclass(frozen=True, slots=True)
class Share:
    """The part of its node that an actor may use: cores, and one of `n_actors` parts of memory."""

    n_cores: int
    n_actors: int

    def of(self, settings: Settings) -> Settings:
        """Return the node's settings for one of the units that an actor has at a time."""
        return replace(
            settings,
            threads=min(settings.threads, self.n_cores),
            memory=settings.memory // (UNITS_AT_ONCE * self.n_actors),
        )


class Actor:
    """Stores units; Ray calls it in as many threads as it has units at a time."""

    def open(self, version: str, pickled: bytes, share: Share) -> SpocdbError | None:
        """Open the database and load the network of a pickled Job; return the error, if any.

        The version is compared before anything of the job is read.
        """
        try:
            if version != own_version():
                raise ConfigError(
                    f"spocdb {own_version()} is installed, and {version} where the ingest "
                    "runs: install the same version on all machines"
                )
            self._open(pickle.loads(pickled), share)
        except SpocdbError as exc:
            return _named_here(exc)
        return None

    def store(self, unit: Unit) -> Progress | SpocdbError:
        """Store a unit; return its counts, or the error that ended it."""
        progress = Progress()
        try:
            self._store(unit, progress)
        except SpocdbError as exc:
            return _named_here(exc)
        return progress

    def _open(self, job: Job, share: Share) -> None:
        order = job.order
        settings = replace(
            share.of(from_environment(order.url)),
            max_pixels=order.max_pixels,
            max_bytes=order.max_bytes,
            allow_private=order.allow_private,
        )
        for file in order.files:
            remember(Path(file), settings.cache_dir)
        run = replace(job.options.run, limits=settings.limits)
        self._job, self._options = job, replace(job.options, run=run)
        self._settings, self._engine = settings, order.open(settings)
        with self._engine.connection() as connection:
            self._collection = collections.get(connection, job.collection)
        # Load the network now: a node without its weights takes no unit.
        self._extractor()

    def _extractor(self) -> "Extractor":
        order = self._job.order
        return self._engine.extractor(self._collection.recipe, order.device, order.precision)

    def _store(self, unit: Unit, progress: Progress) -> None:
        order, collection = self._job.order, self._collection
        terms = terms_of(self._settings, order.choice)
        source = opened((), terms)
        with self._engine.connection() as connection:
            refs: Iterable[ImageRef] = source.named([unit.archive]) if unit.archive else unit.refs
            if unit.archive or unit.n_lost:
                refs = self._options.wanted(connection, collection, refs, progress)
            storing.write(
                *(connection, self._engine.connect, collection, source, refs),
                OnDemand(collection.recipe, self._extractor),
                *(self._options, progress),
                n_apart=sys.maxsize if unit.n_lost >= LOST_UNTIL_APART else 0,
                told=told_on_node,
            )
            archives.note(connection, collection, source.whole)
        progress.left_out = terms.left_out
        if not unit.archive:
            # The images were counted as wanted when they were listed. What a lost process stored of
            # them is new in this ingest.
            progress.n_new += progress.n_unchanged
            progress.n_seen = progress.n_unchanged = 0


def own_version() -> str:
    """Return the version of spocdb that this process runs."""
    # At run time: for type checkers the package's root imports the API, which is above this layer.
    return str(import_module("spocdb").__version__)


def told_on_node(ref: ImageRef, error: ImageError) -> ImageError:
    """Return the error of a missing local file with the node that did not see it."""
    return told_here(ref, error, "node")


def _named_here(error: SpocdbError) -> SpocdbError:
    """Name the machine in an error that is not about one image."""
    if not isinstance(error, ImageError):
        error.args = (f"{gethostname()}: {error}",)
    return error
