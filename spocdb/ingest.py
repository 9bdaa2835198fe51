"""Ingest: add images of sources to a collection, which is created if it does not exist.

    refuse -> choose the extractor -> stage metadata -> run -> prune -> apply metadata -> settle

Each batch is one transaction. After an interruption the next ingest skips stored images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb import metadata, projections, pruning
from spocdb.choosing import Chosen, choose, create
from spocdb.db import attachments, collections, runs, spaces
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features.selection import Wanted
from spocdb.listings import Listing, noted
from spocdb.pipeline.options import OnProgress
from spocdb.progress import Progress
from spocdb.records import Recipe
from spocdb.sources.source import Given, check_any
from spocdb.storing import Store, StoringOptions, changed, store

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor
    from spocdb.features.plain import Stack
    from spocdb.pipeline.extraction import OnDemand


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest: how images are stored, and the steps before and after.

    `prune` deletes images that are gone from their source. If a given root itself is gone or
    empty, its images are deleted only with `prune_gone`. `metadata` is a file with metadata of
    images. A first PCA is fitted once there are `auto_pca` images (0: never). The embeddings of a
    new collection are in `partitions` tables.
    """

    storing: StoringOptions
    prune: bool = False
    prune_gone: bool = False
    metadata: Path | None = None
    auto_pca: int = 0
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Ingest:
    """An ingest of a source into the collection `name`.

    `connect` opens further connections, `load` loads the network of a recipe, `load_few` what
    describes a few images by it. `wanted` holds the extractor's options, `cache_dir` the paths of
    known weights files. `store` stores the images, here or elsewhere.
    """

    connection: Connection
    connect: Callable[[], Connection]
    load: "Callable[[Recipe], Extractor]"
    load_few: "Callable[[Recipe], Stack | None]"
    source: Given
    name: str
    wanted: Wanted
    cache_dir: Path
    options: IngestOptions
    on_progress: OnProgress
    store: Store = store

    def __call__(self) -> Progress:
        """Ingest the images; return the counts.

        Without roots, with `retry_failed`, the collection's failed images are retried.

        Raises:
            ConfigError: There are no images, a root is gone and `prune_gone` is not given, or the
                options contradict each other or the collection.
            WeightsNotFound: The extractor's weights are not on this machine.
            ImageError: An image is bad, and the run is strict.
            ExtractorChanged: The collection got another extractor meanwhile.
            DatabaseLost: The connection was lost; committed batches stay.
        """
        progress = Progress(doing="looking for images")
        self.on_progress(progress)
        find = collections.find if self.source.roots else collections.get
        found = find(self.connection, self.name)
        collections.check_partitions(found, self.options.partitions)
        source = self._without_gone(found)
        progress.left_out = source.left_out
        # Raises for a path that does not exist, before anything is changed.
        refs = source.refs(self._listing(found, progress).knows)
        if found is None:
            check_any(source)
        else:
            attachments.refuse(self.connection, found)
        chosen = self._choose(found)
        if self.options.metadata:
            metadata.stage(self.connection, self.options.metadata, self.source, progress)
        progress.doing = "loading the network"
        collection = found or self._create(chosen)
        if self.options.storing.retry_failed and not self.source.roots:
            refs = source.named(runs.failed(self.connection, collection))
        refs = noted(self.connection, collection, source, refs)
        extractor = partial(self._extractor, collection.recipe)
        self.store(
            *(self.connection, self.connect, collection, source, refs, extractor),
            *(self.options.storing, progress, self.on_progress),
        )
        self._finish(collection, progress)
        return progress

    def _listing(self, found: Collection | None, progress: Progress) -> Listing:
        options = self.options.storing
        return Listing(
            *(self.connection, found, progress),
            retry_failed=options.retries,
            exif=options.run.exif,
        )

    def _without_gone(self, found: Collection | None) -> Given:
        """Return the source without the gone roots; refuse them without `prune_gone`."""
        if found is None or not self.options.prune:
            return self.source
        gone = pruning.gone_roots(self.connection, found, self.source)
        if not self.options.prune_gone:
            pruning.refuse_gone(gone)
        return self.source.without({root.path for root in gone if not root.is_there})

    def _choose(self, found: Collection | None) -> Chosen:
        return choose(self.connection, self.wanted, found, self.cache_dir)

    def _create(self, chosen: Chosen) -> Collection:
        return create(
            *(self.connection, self.name, chosen, self.wanted, self.cache_dir, self.load),
            self.options.partitions,
        )

    def _extractor(self, recipe: Recipe) -> "OnDemand":
        from spocdb.pipeline.extraction import OnDemand

        return OnDemand(recipe, partial(self.load, recipe), partial(self.load_few, recipe))

    def _finish(self, collection: Collection, progress: Progress) -> None:
        if self.options.prune:
            progress.doing = "looking for deleted files"
            # Check again: a disk may have been unmounted meanwhile.
            self._without_gone(collection)
            progress.n_pruned = pruning.prune(self.connection, collection, self.source)
        if self.options.metadata:
            progress.doing = "writing the metadata"
            metadata.apply(self.connection, collection)
        progress.doing = "fitting the first PCA"
        projections.settle(self.connection, self.connect, collection, self.options.auto_pca)
        if searched := spaces.searched(self.connection, collection):
            from spocdb import duplicates

            progress.doing = "comparing with what is there"
            duplicates.catch_up(self.connection, searched)


def preview(
    connection: Connection, name: str, source: Given, *, prune: bool, exif: bool
) -> Progress:
    """Count what an ingest would do with a source, and change nothing.

    Raises:
        ConfigError: A path does not exist, or the collection is of an attached table.
    """
    progress = Progress(left_out=source.left_out)
    collection = collections.find(connection, name)
    there = source
    if collection and prune:
        gone = pruning.gone_roots(connection, collection, source)
        there = source.without({root.path for root in gone if not root.is_there})
    refs = there.refs(Listing(connection, collection, progress, exif=exif).knows)
    if collection:
        attachments.refuse(connection, collection)
        refs = changed(
            connection, collection, refs, progress, retry_failed=False, exif=exif, dry_run=True
        )
    progress.n_new = sum(1 for _ in refs)
    progress.n_seen = progress.n_done
    if collection and prune:
        progress.n_pruned = pruning.prune(connection, collection, source, dry_run=True)
    return progress
