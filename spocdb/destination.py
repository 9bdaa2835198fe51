"""Where an ingest puts its images: the collection of one database, or of several servers.

    find -> refuse -> choose -> create -> store -> prune -> settle

`Ingest` has the order of the steps. Several servers: spocdb/distributed/shards/.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spocdb import choosing, metadata, projections, pruning
from spocdb.choosing import Chosen
from spocdb.db import attachments, collections, runs, spaces
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features.selection import Wanted
from spocdb.listings import Listing, noted
from spocdb.pipeline.options import OnProgress
from spocdb.progress import Progress
from spocdb.pruning import GoneRoot
from spocdb.records import ImageRef, Recipe
from spocdb.sources.source import Given, Source
from spocdb.storing import Store, StoringOptions, changed, store

if TYPE_CHECKING:
    from spocdb.pipeline.extraction import OnDemand


class Destination(Protocol):
    """A collection that images are stored in; it need not exist until `create`."""

    def find(self, *, must: bool) -> bool:
        """Look for the collection; return whether it exists.

        Raises:
            CollectionNotFound: It must, and does not.
        """
        ...

    def check_partitions(self, partitions: int | None) -> None:
        """Raise ConfigError if the collection has another number of partitions."""
        ...

    def refuse_attached(self) -> None:
        """Raise ConfigError if the collection is of an attached table."""
        ...

    def knows(
        self, progress: Progress, *, retry_failed: bool, exif: bool
    ) -> Callable[[ImageRef], bool]:
        """Return what tells whether all images of an archive are stored, and counts them then."""
        ...

    def gone_roots(self, source: Given) -> list[GoneRoot]:
        """Return the roots of a source that hold no files any more but have stored images."""
        ...

    def choose(self, wanted: Wanted, cache_dir: Path) -> Chosen:
        """Choose the recipe that the options ask for, or that of the collection."""
        ...

    def create(
        self,
        chosen: Chosen,
        wanted: Wanted,
        cache_dir: Path,
        load: Callable[[Recipe], object],
        partitions: int | None,
    ) -> Recipe:
        """Create the collection unless it exists; return its recipe."""
        ...

    def stage_metadata(self, file: Path, source: Given, progress: Progress) -> None:
        """Read a metadata file, to be applied later."""
        ...

    def apply_metadata(self) -> None:
        """Give the images the metadata that were read."""
        ...

    def failed(self) -> Sequence[str]:
        """List the names of the images that failed."""
        ...

    def changed(self, refs: Iterable[ImageRef], progress: Progress, *, exif: bool) -> int:
        """Count the images that would be stored; change nothing."""
        ...

    def store(
        self,
        source: Source,
        refs: Iterable[ImageRef],
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress,
    ) -> None:
        """Store the images of a source that are new or changed, and record the run."""
        ...

    def noted(self, source: Given, refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        """Yield the images of a source, and note the archives that were listed to their end."""
        ...

    def prune(self, source: Source, *, dry_run: bool = False) -> int:
        """Delete the images that are gone from a source; return how many."""
        ...

    def settle(self, auto_pca: int) -> None:
        """Fit the first PCA if it is time, and build what indexes lack."""
        ...

    def catch_up(self, doing: Callable[[str], None]) -> None:
        """Compare the new images with others where near-duplicates were looked for."""
        ...


@dataclass(slots=True)
class OneDatabase:
    """The collection `name` of one database.

    `connect` opens further connections; `put` stores the images on a Ray cluster, None here.
    """

    connection: Connection
    connect: Callable[[], Connection]
    name: str
    put: Store | None = None
    _found: Collection | None = None

    @property
    def collection(self) -> Collection:
        """Return the collection, which exists by now."""
        assert self._found is not None
        return self._found

    def find(self, *, must: bool) -> bool:
        """See Destination."""
        find = collections.get if must else collections.find
        self._found = find(self.connection, self.name)
        return self._found is not None

    def check_partitions(self, partitions: int | None) -> None:
        """See Destination."""
        collections.check_partitions(self._found, partitions)

    def refuse_attached(self) -> None:
        """See Destination."""
        attachments.refuse(self.connection, self.collection)

    def knows(
        self, progress: Progress, *, retry_failed: bool, exif: bool
    ) -> Callable[[ImageRef], bool]:
        """See Destination."""
        listing = Listing(
            self.connection, self._found, progress, retry_failed=retry_failed, exif=exif
        )
        return listing.knows

    def gone_roots(self, source: Given) -> list[GoneRoot]:
        """See Destination."""
        return pruning.gone_roots([(self.connection, self.collection)], source)

    def choose(self, wanted: Wanted, cache_dir: Path) -> Chosen:
        """See Destination."""
        return choosing.choose(self.connection, wanted, self._found, cache_dir)

    def create(
        self,
        chosen: Chosen,
        wanted: Wanted,
        cache_dir: Path,
        load: Callable[[Recipe], object],
        partitions: int | None,
    ) -> Recipe:
        """See Destination."""
        if self._found is None:
            self._found = choosing.create(
                self.connection, self.name, chosen, wanted, cache_dir, load, partitions
            )
        return self._found.recipe

    def stage_metadata(self, file: Path, source: Given, progress: Progress) -> None:
        """See Destination."""
        metadata.stage([self.connection], file, source, progress)

    def apply_metadata(self) -> None:
        """See Destination."""
        metadata.apply([(self.connection, self.collection)])

    def failed(self) -> Sequence[str]:
        """See Destination."""
        return runs.failed(self.connection, self.collection)

    def changed(self, refs: Iterable[ImageRef], progress: Progress, *, exif: bool) -> int:
        """See Destination."""
        found: Iterator[ImageRef] = changed(
            *(self.connection, self.collection, refs, progress),
            retry_failed=False,
            exif=exif,
            dry_run=True,
        )
        return sum(1 for _ in found)

    def store(
        self,
        source: Source,
        refs: Iterable[ImageRef],
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress,
    ) -> None:
        """See Destination."""
        put = self.put or store
        put(
            *(self.connection, self.connect, self.collection, source, refs, extractor),
            *(options, progress, on_progress),
        )

    def noted(self, source: Given, refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        """See Destination."""
        return noted(self.connection, self.collection, source, refs)

    def prune(self, source: Source, *, dry_run: bool = False) -> int:
        """See Destination."""
        return pruning.prune(self.connection, self.collection, source, dry_run=dry_run)

    def settle(self, auto_pca: int) -> None:
        """See Destination."""
        projections.settle(self.connection, self.connect, self.collection, auto_pca)

    def catch_up(self, doing: Callable[[str], None]) -> None:
        """See Destination."""
        if searched := spaces.searched(self.connection, self.collection):
            from spocdb import duplicates

            doing("comparing with what is there")
            duplicates.catch_up(self.connection, searched)
