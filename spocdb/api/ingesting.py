"""Ingesting in the API: files into collections, and collections to other extractors."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spocdb import ingest as ingesting
from spocdb import projections as fitting
from spocdb import pruning
from spocdb import reembed as reembedding
from spocdb.api.extractors import choose, path_of, prove
from spocdb.api.part import Part
from spocdb.api.tables import source_of
from spocdb.db import collections
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted
from spocdb.pipeline.run import Options
from spocdb.progress import Progress
from spocdb.pruning import GoneRoot
from spocdb.settings import DEFAULT_COLLECTION
from spocdb.sources import kinds
from spocdb.sources.files import EVERYTHING, Choice, FilesSource
from spocdb.storing import StoringOptions
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.extractor import Precision

log = logging.getLogger(__name__)


class Ingesting(Part):
    """Methods of Database that bring images in."""

    def ingest(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        recursive: bool = True,
        metadata: str | os.PathLike[str] | None = None,
        exif: bool = False,
        all_files: bool = False,
        follow_links: bool = False,
        moves: bool = True,
        prune: bool = False,
        prune_gone: bool = False,
        strict: bool = False,
        retry_failed: bool = False,
        auto_pca: int = fitting.AUTO_PCA_IMAGES,
        batch_size: int | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        on_progress: Callable[[Progress], None] = lambda progress: None,
        **recipe: Any,
    ) -> Progress:
        """Bring the images under `paths` into a collection, which is made if it is new.

        Files that are stored unchanged are not read. An image that fails does not stop the run: see
        `failures`. What is written stays, whatever happens, and the same call goes on.

        Args:
            *paths: files, and folders, which give the files with an image's suffix.
            collection: its name.
            extractor: a preset, or the name of an extractor that the database knows.
            weights: a state dict of the network; by default the preset's own.
            codebook: the file that pooling by Fisher vectors or triangulation needs.
            recursive: go into folders below the given ones.
            metadata: a .csv or .jsonl with a column `path`; what it says wins over EXIF.
            exif: store what photographs say of themselves, see docs/reference/images.md.
            all_files: take files of any name that begin as an image.
            follow_links: take what linked folders hold.
            moves: a file whose bytes are stored under a path that is gone takes over that image,
                with its id and metadata.
            prune: delete images under `paths` whose file is gone.
            prune_gone: also those of a path that is itself gone, or holds no image any more.
            strict: stop at the first bad image.
            retry_failed: try failed files again; without `paths` all of the collection's.
            auto_pca: fit a first PCA once there are so many images; 0 is never.
            batch_size: images a batch; None is the device's.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            on_progress: is told how far it is, after every batch.
            **recipe: options on top of the preset: those of `features.recipes.make_recipe`, such as
                size, fit, relu, pooling, centering, sigma, gem_p, scales, flip, attention.

        Returns:
            What became of the images; `left_out` counts the files that were not taken, by kind.

        Raises:
            ConfigError: there are no images, or an option makes no sense or contradicts the
                collection.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
            ImageError: with `strict`, an image is bad.
            ExtractorChanged: the collection got another extractor meanwhile.
            DatabaseLost: the database went away.
        """
        engine = self._engine
        options = ingesting.IngestOptions(
            StoringOptions(
                Options(engine.settings.limits, batch_size, exif, strict), retry_failed, moves
            ),
            prune=prune,
            prune_gone=prune_gone,
            metadata=path_of(metadata),
            auto_pca=auto_pca,
        )
        choice = Choice(recursive, all_files, follow_links)
        with engine.connection() as connection:
            return ingesting.Ingest(
                connection,
                engine.connect,
                lambda recipe: engine.extractor(recipe, device, precision),
                FilesSource([os.fspath(path) for path in paths], choice),
                collection,
                Wanted(extractor, path_of(weights), recipe, path_of(codebook)),
                engine.settings.cache_dir,
                options,
                on_progress,
            )()

    def gone(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
    ) -> list[GoneRoot]:
        """Return those of `paths` that are gone or hold no image any more, but did once.

        An ingest with `prune` refuses them unless `prune_gone` is given. `choice` says which files
        of them are meant.
        """
        source = FilesSource([os.fspath(path) for path in paths], choice)
        with self._engine.connection() as connection:
            if (target := collections.find(connection, collection)) is None:
                return []
            return pruning.gone_roots(connection, target, source)

    def preview(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
        prune: bool = False,
        exif: bool = False,
    ) -> Progress:
        """Count what `ingest` would do with these paths, and change nothing.

        Args:
            *paths: files and folders.
            collection: its name; it need not exist.
            choice: which files of the folders are meant.
            prune: count the images that would be deleted too.
            exif: as of `ingest`.

        Returns:
            `n_new` are the files that it would read, whatever becomes of them; `n_pruned` the
            images that it would delete if none of them is found again under another path.

        Raises:
            ConfigError: a table fills the collection.
        """
        source = FilesSource([os.fspath(path) for path in paths], choice)
        with self._engine.connection() as connection:
            return ingesting.preview(connection, collection, source, prune=prune, exif=exif)

    def ingest_beside(self, folder: str | os.PathLike[str], collection: str | None = None) -> str:
        """Ingest other images by a collection's extractor, for its PCA; return their collection.

        That is a collection of its own, never a gallery. Its name begins with the folder's and ends
        with a hash of the folder's whole path and the extractor; it holds what the folder holds.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the folder holds no images.
        """
        with self._engine.connection() as connection:
            recipe = collections.get(connection, collection).recipe
        real = os.path.realpath(folder)
        name = fitting.name_beside(real, recipe.name)
        # What is no folder of images is no reason to forget those that were there.
        FilesSource([real]).check_any()
        done = self.ingest(real, collection=name, extractor=recipe.name, auto_pca=0, prune=True)
        images_, failed = counted(done.n_seen, "image"), f"{done.n_failed} failed"
        log.info("%s, %s: kept as collection %s", images_, failed, name)
        if left_out := kinds.told(done.left_out):
            log.warning("left out: %s", left_out)
        return name

    def reembed(
        self,
        extractor: str,
        collection: str | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        dim: int | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        on_progress: Callable[[Progress], None] = lambda progress: None,
        **recipe: Any,
    ) -> int:
        """Take a collection to another extractor, its images read again.

        Searches and ingests go on until the switch at the end, and `pca.rollback` undoes it.
        Interrupted, the same call goes on.

        Args:
            extractor: chosen as by `ingest`, and so are the options after it.
            collection: its name; None is the only one.
            weights: a state dict of the network; by default the preset's own.
            codebook: the file that pooling by Fisher vectors or triangulation needs.
            dim: dimensions of the embeddings; None is as many as before.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            on_progress: is told how far it is, after every batch.
            **recipe: options on top of the preset.

        Returns:
            The number of the projection that answers then.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: files are gone or changed, or an option makes no sense.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        engine = self._engine
        wanted = Wanted(extractor, path_of(weights), recipe, path_of(codebook))
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            chosen = choose(engine, connection, wanted)
            if chosen == target.recipe:
                log.info("%s has the extractor %s already: nothing to do", target.name, chosen.name)
                return target.active_projection_id
            prove(engine, connection, chosen, device, precision)
            n_channels = channels(chosen)
            extractor_id = collections.add_extractor(connection, chosen, n_channels)
            log.info("%s: from %s to %s", target.name, target.recipe.name, chosen.name)
            return reembedding.reembed(
                connection,
                engine.connect,
                replace(target, extractor_id=extractor_id, recipe=chosen, channels=n_channels),
                # Rows are read by this connection: it may hold the lock that another would need.
                source_of(connection, target, engine.settings.limits),
                lambda: engine.extractor(chosen, device, precision),
                engine.settings.limits,
                dim,
                on_progress,
            )
