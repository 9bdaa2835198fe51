"""Enqueuing in the API: images and archives for workers."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from spocdb.api.part import Part
from spocdb.recipe_options import RecipeOptions
from spocdb.records import Choice
from spocdb.settings import DEFAULT_COLLECTION

if TYPE_CHECKING:
    from spocdb.features.precision import Precision
    from spocdb.progress import Progress


class Enqueuing(Part):
    """Methods of Database that leave the work to workers."""

    def enqueue(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        recursive: bool = True,
        names_from: str | os.PathLike[str] | None = None,
        urls_from: str | os.PathLike[str] | None = None,
        all_files: bool = False,
        follow_links: bool = False,
        image_column: str | None = None,
        partitions: int | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        on_progress: "Callable[[Progress], None]" = lambda progress: None,
        **recipe: Unpack[RecipeOptions],
    ) -> "Progress":
        """Put the images under `paths` into the queue of a collection, for workers to add them.

        As `ingest`, but nothing is read here. Images that are stored and unchanged stay out, and
        those that failed: `tables.retry` brings them back. An archive is one entry, which one
        worker reads as a whole. Workers read paths and URIs as they are, with credentials of their
        own. Each chunk is committed; after an interruption the same call continues.

        Args:
            *paths: as of `ingest`.
            collection: its name; created if it does not exist.
            extractor: as of `ingest`, like `weights`, `codebook` and the options of the recipe.
            weights: the network's weights; by default the preset's own.
            codebook: the file that pooling by Fisher vectors or triangulation needs.
            recursive: also list subfolders.
            names_from: as of `ingest`.
            urls_from: as of `ingest`.
            all_files: recognise images by their first bytes, whatever the file is called.
            follow_links: also list the folders that symbolic links lead to.
            image_column: as of `ingest`.
            partitions: as of `ingest`.
            device: where a new extractor is loaded to test it: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            on_progress: called with the progress after every chunk.
            **recipe: options on top of the preset.

        Returns:
            The counts: `n_enqueued` images and archives are new in the queue, `n_waiting` were in
            it already.

        Raises:
            ConfigError: there are no images, or an option is invalid or contradicts the
                collection.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
            DatabaseLost: the connection was lost.
        """
        from spocdb import enqueuing
        from spocdb.api.extractors import path_of
        from spocdb.features.selection import Wanted
        from spocdb.sources.lists import listed
        from spocdb.sources.opening import opened, terms_of

        engine = self._engine
        terms = terms_of(engine.settings, Choice(recursive, all_files, follow_links, image_column))
        with engine.connection() as connection:
            return enqueuing.enqueue(
                connection,
                collection,
                opened(paths, replace(terms, unopened=True), listed(names_from, urls_from)),
                Wanted(
                    extractor, path_of("weights", weights), recipe, path_of("codebook", codebook)
                ),
                engine.settings.cache_dir,
                lambda new: engine.extractor(new, device, precision),
                on_progress,
                partitions,
            )
