"""Ingest: files into a collection, which is made if it is new.

    refuse -> choose the extractor -> stage metadata -> run -> prune -> apply metadata -> settle

An interruption undoes nothing: each batch is one transaction, and the next ingest skips what is
stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb import metadata, projections, pruning
from spocdb.db import attachments, collections, runs
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted, choose
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.run import OnProgress
from spocdb.progress import Progress
from spocdb.records import Recipe
from spocdb.sources.files import FilesSource
from spocdb.storing import StoringOptions, changed, store

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest: how images are stored, and what is done beside it.

    `prune` deletes images whose file is gone, of a path that is itself gone, or empty, only with
    `prune_gone`. `metadata` is a file that describes images. At `auto_pca` images (0: never) a
    first PCA is fitted.
    """

    storing: StoringOptions
    prune: bool = False
    prune_gone: bool = False
    metadata: Path | None = None
    auto_pca: int = 0


@dataclass(frozen=True, slots=True)
class Ingest:
    """Files on their way into the collection of a name.

    `connect` opens further connections, `load` the network of a recipe. `wanted` is what was asked
    for of the extractor, `cache_dir` remembers where weights lie.
    """

    connection: Connection
    connect: Callable[[], Connection]
    load: "Callable[[Recipe], Extractor]"
    source: FilesSource
    name: str
    wanted: Wanted
    cache_dir: Path
    options: IngestOptions
    on_progress: OnProgress

    def __call__(self) -> Progress:
        """Bring the files into their collection; return what became of them.

        Without paths, the files that failed are tried again.

        Raises:
            ConfigError: There are no images, or a path is gone that may not be forgotten, or the
                options contradict each other or the collection.
            WeightsNotFound: The extractor's weights are not on this machine.
            ImageError: The first bad image's, if the run is strict.
            ExtractorChanged: The collection got another extractor meanwhile.
            DatabaseLost: The database went away; what was written stays.
        """
        progress = Progress(doing="looking for images")
        self.on_progress(progress)
        find = collections.find if self.source.roots else collections.get
        found = find(self.connection, self.name)
        source = self._without_gone(found)
        progress.left_out = source.left_out
        # A path that does not exist is told before anything is done.
        refs = source.refs()
        if found is None:
            source.check_any()
        else:
            attachments.refuse(self.connection, found)
        recipe = self._choose(found)
        if self.options.metadata:
            described = self.options.metadata, self.source.roots
            metadata.stage(self.connection, *described, progress)
        progress.doing = "loading the network"
        collection = found or self._create(recipe)
        if self.options.storing.retry_failed and not self.source.roots:
            refs = source.named(runs.failed(self.connection, collection))
        extractor = OnDemand(collection.recipe, partial(self.load, collection.recipe))
        store(
            *(self.connection, self.connect, collection, source, refs, extractor),
            *(self.options.storing, progress, self.on_progress),
        )
        self._finish(collection, source, progress)
        return progress

    def _without_gone(self, found: Collection | None) -> FilesSource:
        """Return the source without the paths that are gone and may be; refuse the others."""
        if found is None or not self.options.prune:
            return self.source
        gone = pruning.gone_roots(self.connection, found, self.source)
        if not self.options.prune_gone:
            pruning.refuse_gone(gone)
        return self.source.without(root.path for root in gone if not root.is_there)

    def _choose(self, found: Collection | None) -> Recipe:
        known = [e.recipe for e in collections.extractor_summaries(self.connection)]
        return choose(self.wanted, found.recipe if found else None, known, self.cache_dir)

    def _create(self, recipe: Recipe) -> Collection:
        known = collections.extractor_summaries(self.connection)
        if all(recipe != e.recipe for e in known):
            # Weights that do not fit must not become an extractor.
            self.load(recipe)
        made = collections.create(self.connection, self.name, recipe, channels(recipe))
        if made.recipe != recipe:
            # Another process made it in this moment: says why not.
            self._choose(made)
        return made

    def _finish(self, collection: Collection, source: FilesSource, progress: Progress) -> None:
        if self.options.prune:
            progress.doing = "looking for deleted files"
            # Again: a disk may have gone away meanwhile.
            self._without_gone(collection)
            progress.n_pruned = pruning.prune(self.connection, collection, self.source)
        if self.options.metadata:
            progress.doing = "writing the metadata"
            metadata.apply(self.connection, collection)
        progress.doing = "fitting the first PCA"
        projections.settle(self.connection, self.connect, collection, self.options.auto_pca)


def preview(
    connection: Connection, name: str, source: FilesSource, *, prune: bool, exif: bool
) -> Progress:
    """Count what an ingest would do with a source, and change nothing.

    Raises:
        ConfigError: A path does not exist, or the collection is of an attached table.
    """
    progress = Progress()
    collection = collections.find(connection, name)
    there = source
    if collection and prune:
        gone = pruning.gone_roots(connection, collection, source)
        there = source.without(root.path for root in gone if not root.is_there)
    refs = there.refs()
    if collection:
        attachments.refuse(connection, collection)
        refs = changed(
            connection, collection, refs, progress, retry_failed=False, exif=exif, dry_run=True
        )
    progress.n_new = sum(1 for _ in refs)
    progress.n_seen, progress.left_out = progress.n_done, there.left_out
    if collection and prune:
        progress.n_pruned = pruning.prune(connection, collection, source, dry_run=True)
    return progress
