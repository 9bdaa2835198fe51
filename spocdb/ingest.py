"""Ingest: add images of sources to a collection, which is created if it does not exist.

    refuse -> choose the extractor -> stage metadata -> run -> prune -> apply metadata -> settle

Each batch is one transaction. After an interruption the next ingest skips stored images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb import pruning
from spocdb.destination import Destination
from spocdb.features.selection import Wanted
from spocdb.pipeline.options import OnProgress
from spocdb.progress import Progress
from spocdb.records import Recipe
from spocdb.sources.source import Given, check_any, check_given
from spocdb.storing import StoringOptions

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
    """An ingest of a source into a collection.

    `load` loads the network of a recipe, `load_few` what describes a few images by it. `wanted`
    holds the extractor's options, `cache_dir` the paths of known weights files.
    """

    destination: Destination
    load: "Callable[[Recipe], Extractor]"
    load_few: "Callable[[Recipe], Stack | None]"
    source: Given
    wanted: Wanted
    cache_dir: Path
    options: IngestOptions
    on_progress: OnProgress

    def __call__(self) -> Progress:
        """Ingest the images; return the counts.

        Without roots, with `retry_failed`, the collection's failed images are retried; metadata are
        applied to all of its images.

        Raises:
            ConfigError: Nothing is given to read, there are no images, a root is gone and
                `prune_gone` is not given, or the options contradict each other or the collection.
            WeightsNotFound: The extractor's weights are not on this machine.
            ImageError: An image is bad, and the run is strict.
            ExtractorChanged: The collection got another extractor meanwhile.
            DatabaseLost: The connection was lost; committed batches stay.
        """
        progress = Progress(doing="looking for images")
        self.on_progress(progress)
        to, options = self.destination, self.options
        if not (options.metadata or options.storing.retry_failed):
            check_given(self.source)
        found = to.find(must=not self.source.roots)
        to.check_partitions(options.partitions)
        source = self._without_gone() if found else self.source
        progress.left_out = source.left_out
        # Raises for a path that does not exist, before anything is changed.
        storing = options.storing
        knows = to.knows(progress, retry_failed=storing.retries, exif=storing.run.exif)
        refs = source.refs(knows)
        if found:
            to.refuse_attached()
        else:
            check_any(source)
        chosen = to.choose(self.wanted, self.cache_dir)
        if options.metadata:
            to.stage_metadata(options.metadata, self.source, progress)
        progress.doing = "loading the network"
        recipe = to.create(chosen, self.wanted, self.cache_dir, self.load, options.partitions)
        if storing.retry_failed and not self.source.roots:
            refs = source.named(to.failed())
        extractor = partial(self._extractor, recipe)
        refs = to.noted(source, refs)
        to.store(source, refs, extractor, storing, progress, self.on_progress)
        self._finish(progress)
        return progress

    def _without_gone(self) -> Given:
        """Return the source without the gone roots; refuse them without `prune_gone`."""
        if not self.options.prune:
            return self.source
        gone = self.destination.gone_roots(self.source)
        if not self.options.prune_gone:
            pruning.refuse_gone(gone)
        return self.source.without({root.path for root in gone if not root.is_there})

    def _extractor(self, recipe: Recipe) -> "OnDemand":
        from spocdb.pipeline.extraction import OnDemand

        return OnDemand(recipe, partial(self.load, recipe), partial(self.load_few, recipe))

    def _finish(self, progress: Progress) -> None:
        to = self.destination

        def doing(what: str) -> None:
            progress.doing = what

        if self.options.prune:
            doing("looking for deleted files")
            # Check again: a disk may have been unmounted meanwhile.
            self._without_gone()
            progress.n_pruned = to.prune(self.source)
        if self.options.metadata:
            doing("writing the metadata")
            to.apply_metadata()
        doing("fitting the first PCA")
        to.settle(self.options.auto_pca)
        to.catch_up(doing)


def preview(to: Destination, source: Given, *, prune: bool, exif: bool) -> Progress:
    """Count what an ingest would do with a source, and change nothing.

    Raises:
        ConfigError: Nothing is given to read, a path does not exist, or the collection is of an
            attached table.
    """
    check_given(source)
    progress = Progress(left_out=source.left_out)
    found = to.find(must=False)
    there = source
    if found and prune:
        gone = to.gone_roots(source)
        there = source.without({root.path for root in gone if not root.is_there})
    refs = there.refs(to.knows(progress, retry_failed=False, exif=exif))
    if found:
        to.refuse_attached()
        progress.n_new = to.changed(refs, progress, exif=exif)
    else:
        progress.n_new = sum(1 for _ in refs)
    progress.n_seen = progress.n_done
    if found and prune:
        progress.n_pruned = to.prune(source, dry_run=True)
    return progress
