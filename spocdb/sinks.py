"""The sinks of a run: for images of a collection, leased rows of a table, or descriptors only.

Descriptors only are those of a collection's extractor, or of several extractors at once.

Each reads on one connection, and writes on another in the writer thread.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from operator import itemgetter

from spocdb.db import connections, outcomes, projections, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.descriptors import known
from spocdb.db.descriptors import write as write_descriptors
from spocdb.db.moves import Moves
from spocdb.db.outcomes import Outcome
from spocdb.db.queue import LeasedRef
from spocdb.db.waiting import Stopped
from spocdb.db.writing import Project
from spocdb.errors import ImageError, RowGone
from spocdb.features.projection import project
from spocdb.features.recipes import split
from spocdb.pipeline.work import Work
from spocdb.pipeline.writing import Write
from spocdb.progress import Progress
from spocdb.records import ImageRef, NewDescriptor, Recipe
from spocdb.verdicts import Rules, outcome_of

Descriptors = Mapping[bytes, NewDescriptor]
# Words the error of an image before it is stored.
Told = Callable[[ImageRef, ImageError], ImageError]


@dataclass(frozen=True, slots=True)
class Copies:
    """The images of one content, and the index of the one to read next."""

    refs: Sequence[ImageRef]
    at: int = 0

    @property
    def next(self) -> ImageRef:
        """Return the image to read."""
        return self.refs[self.at]


class _CollectionSink:
    """The base of the sinks: stored descriptors of the collection, and its two connections."""

    def __init__(
        self,
        connection: Connection,
        write_connection: Connection,
        collection: Collection,
        progress: Progress,
    ) -> None:
        self._connection, self._write_connection = connection, write_connection
        self._collection, self._progress = collection, progress
        writing.make_staging(write_connection)
        self._project = projecting(write_connection)

    def known(self, hashes: set[bytes]) -> set[bytes]:
        """Return the sha256 that have a raw descriptor of the collection's extractor."""
        return known(self._connection, self._collection.extractor_id, hashes)

    def cancel(self) -> None:
        """Cancel the running statement of the write connection."""
        connections.cancel(self._write_connection)


class ImagesSink(_CollectionSink):
    """Stores images, and the failures of bad ones."""

    def __init__(
        self,
        connection: Connection,
        write_connection: Connection,
        collection: Collection,
        progress: Progress,
        moves: Moves | None = None,
        told: Told = lambda ref, error: error,
    ) -> None:
        """With `moves`, images whose file was moved are recognised; `told` words the failures."""
        super().__init__(connection, write_connection, collection, progress)
        self._moves, self._told = moves, told
        self.n_refused = 0

    def batch(self, works: Sequence[Work[ImageRef]], descriptors: Descriptors) -> Write:
        """Return a function that writes the batch and counts images that the database refuses."""
        batch = Batch(
            images=[(ref, w.sha256) for w in works if not w.error for ref in w.refs],
            descriptors=descriptors,
            failures=[(ref, self._told(ref, w.error)) for w in works if w.error for ref in w.refs],
            exif={w.sha256: w.exif for w in works if w.exif},
        )
        return partial(self._write, batch)

    def _write(self, batch: Batch) -> None:
        refused = writing.write(
            self._write_connection, self._collection, batch, self._project, self._moves
        )
        self.n_refused += len(refused)
        self._progress.n_moved = self._moves.n_moved if self._moves else 0


class RowsSink(_CollectionSink):
    """Stores the outcome of leased rows, in the transaction that ends their leases."""

    def __init__(
        self,
        connection: Connection,
        write_connection: Connection,
        collection: Collection,
        progress: Progress,
        rules: Rules,
        is_stopped: Stopped,
    ) -> None:
        """`rules` decide whether a bad row is retried or given up."""
        super().__init__(connection, write_connection, collection, progress)
        self._rules, self._is_stopped = rules, is_stopped
        self.n_refused = 0
        self.first_error: ImageError | None = None

    def batch(self, works: Sequence[Work[LeasedRef]], descriptors: Descriptors) -> Write:
        """Return a function that writes the batch; rows to be retried do not count as failures."""
        outcome = outcome_of(works, descriptors, self._rules)
        self._progress.n_failed -= len(outcome.retried) + len(outcome.gone)
        self._progress.n_pruned += len(outcome.gone)
        errors = (w.error for w in works if w.error and not isinstance(w.error, RowGone))
        self.first_error = self.first_error or next(errors, None)
        return partial(self._write, outcome)

    def _write(self, outcome: Outcome) -> None:
        refused = outcomes.write(
            *(self._write_connection, self._collection, outcome, self._project, self._is_stopped)
        )
        self.n_refused += len(refused)


class DescriptorsSink(_CollectionSink):
    """Stores only raw descriptors, of contents that are stored under one or more names.

    A content is read under its first name. If that fails, the next run tries the next name.
    """

    def __init__(
        self,
        connection: Connection,
        write_connection: Connection,
        collection: Collection,
        progress: Progress,
    ) -> None:
        super().__init__(connection, write_connection, collection, progress)
        # Contents to read under another name in the next run.
        self.again: list[Copies] = []
        self.first_bad: tuple[ImageRef, ImageError] | None = None
        self._open: dict[bytes | None, Copies] = {}

    def refs(self, contents: Iterable[Copies]) -> Iterator[ImageRef]:
        """Yield one name of each content."""
        for copies in contents:
            self._open[copies.next.sha256] = copies
            yield copies.next

    def batch(self, works: Sequence[Work[ImageRef]], descriptors: Descriptors) -> Write:
        """Return a function that writes the descriptors of a batch."""
        for work in works:
            for ref in work.refs:
                self._count(self._open.pop(ref.sha256), ref, work.error)
        return partial(
            write_descriptors, self._write_connection, self._collection.extractor_id, descriptors
        )

    def _count(self, copies: Copies, ref: ImageRef, error: ImageError | None) -> None:
        """Count the other names of a content; the run itself counts the one that was read."""
        others = len(copies.refs) - 1
        if error is None:
            self._progress.n_reused += others
        elif copies.at < others:
            self._progress.n_failed -= 1
            self.again.append(Copies(copies.refs, copies.at + 1))
        else:
            self._progress.n_failed += others
            self.first_bad = self.first_bad or (ref, error)


class PooledSink:
    """Stores raw descriptors by several extractors, which differ only in pooling."""

    def __init__(
        self, connection: Connection, write_connection: Connection, ids: Mapping[Recipe, int]
    ) -> None:
        """`ids` are those of the extractors, in the order of the descriptors' parts."""
        self._connection, self._write_connection, self._ids = connection, write_connection, ids
        writing.make_staging(write_connection)

    def known(self, hashes: set[bytes]) -> set[bytes]:
        """Return the sha256 that have a raw descriptor by each of the extractors."""
        return hashes.intersection(
            *(known(self._connection, i, hashes) for i in self._ids.values())
        )

    def batch(self, works: Sequence[Work[ImageRef]], descriptors: Descriptors) -> Write:
        """Return a function that writes the descriptors of a batch."""
        return partial(self._write, descriptors)

    def cancel(self) -> None:
        """Cancel the running statement of the write connection."""
        connections.cancel(self._write_connection)

    def _write(self, descriptors: Descriptors) -> None:
        parts = {h: split(new.descriptor, [*self._ids]) for h, new in descriptors.items()}
        with self._write_connection.transaction():
            # By number, so that two writers cannot deadlock.
            for recipe, extractor_id in sorted(self._ids.items(), key=itemgetter(1)):
                own = {
                    h: replace(new, descriptor=parts[h][recipe]) for h, new in descriptors.items()
                }
                write_descriptors(self._write_connection, extractor_id, own)


def projecting(connection: Connection) -> Project:
    """Return a function that applies a projection by its number; each is loaded once."""
    # Projections are immutable, so the cache never becomes stale.
    load = cache(partial(projections.load, connection))
    return lambda id_, raw: project(raw, load(id_))
