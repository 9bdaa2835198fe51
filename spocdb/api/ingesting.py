"""Ingesting in the API: add files to collections."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Unpack

from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.errors import ConfigError
from spocdb.recipe_options import RecipeOptions
from spocdb.records import EVERYTHING, Choice
from spocdb.settings import AUTO_PCA_IMAGES, DEFAULT_COLLECTION
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.destination import Destination
    from spocdb.features.precision import Precision
    from spocdb.features.selection import Wanted
    from spocdb.progress import Progress
    from spocdb.pruning import GoneRoot
    from spocdb.sources.source import Terms
    from spocdb.storing import Store

log = logging.getLogger(__name__)


class Ingesting(Part):
    """Methods of Database that add images."""

    def ingest(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        recursive: bool = True,
        names_from: str | os.PathLike[str] | None = None,
        urls_from: str | os.PathLike[str] | None = None,
        metadata: str | os.PathLike[str] | None = None,
        exif: bool = False,
        all_files: bool = False,
        follow_links: bool = False,
        image_column: str | None = None,
        moves: bool = True,
        thumbnails: bool = True,
        prune: bool = False,
        prune_gone: bool = False,
        strict: bool = False,
        retry_failed: bool = False,
        auto_pca: int = AUTO_PCA_IMAGES,
        partitions: int | None = None,
        batch_size: int | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        ray: str | None = None,
        on_progress: "Callable[[Progress], None]" = lambda progress: None,
        **recipe: Unpack[RecipeOptions],
    ) -> "Progress":
        """Add the images under `paths` to a collection, which is created if it does not exist.

        Files that are stored and unchanged are not read. An image that fails does not stop the run:
        see `failures`. Each batch is committed; after an interruption the same call continues.

        Args:
            *paths: files; folders, which give the files with an image's suffix; archives, which are
                folders that need not be unpacked: .tar, .tar.gz, .tar.zst (with `spocdb[zstd]`) and
                .zip; Parquet files, or folders of them (with `spocdb[parquet]`); prefixes of
                buckets (with `spocdb[cloud]`): s3://BUCKET/PREFIX, gs:// and az://; and URLs.
                `{0000..0127}` stands for these numbers.
            collection: its name.
            extractor: a preset, a network such as `onnx:FILE` or `timm:NAME`, or the name of an
                extractor that the database knows.
            weights: the network's weights; by default the preset's own.
            codebook: the file that pooling by Fisher vectors or triangulation needs.
            recursive: also read subfolders.
            names_from: a file with further names, one in a line or separated by NUL: paths of
                images and archives, and URIs.
            urls_from: a file with URLs of http or https, one in a line, or a .csv with a column
                `url`. Those that are stored are not fetched again.
            metadata: a .csv or .jsonl with a column `path`; it takes precedence over EXIF.
            exif: store the photographs' EXIF as metadata, see docs/reference/images.md.
            all_files: recognise images by their first bytes, whatever the file is called.
            follow_links: also read the folders that symbolic links lead to.
            image_column: the column of Parquet files that holds the images: their bytes, paths or
                URLs; by default it is found by the file's types.
            moves: recognise moved files. If a file's bytes are stored under a path that no longer
                exists, that image gets the new path and keeps its id and metadata.
            thumbnails: store thumbnails of the images that are decoded; without, they are made
                when `thumbnail` asks for them.
            prune: delete images under `paths` whose file is gone.
            prune_gone: also delete the images of a given path that itself is gone or holds no image
                any more.
            strict: stop at the first bad image.
            retry_failed: retry failed files; without `paths`, all failed files of the collection.
            auto_pca: fit a first PCA once the collection has this many images; 0 is never.
            partitions: how many tables hold the embeddings of a new collection, 1 to 256; None is
                one. See docs/how-to/partitions.md.
            batch_size: images per batch; None is the device's default.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            ray: HOST:PORT of a Ray cluster's head, or "auto" for the cluster of this machine, with
                `spocdb[ray]`: its nodes read, describe and write the images. Moved files are not
                recognised then, and `prune` is refused. See docs/how-to/ray.md.
            on_progress: called with the progress after every batch.
            **recipe: options on top of the preset: those of `features.recipes.make_recipe`, such as
                size, fit, relu, pooling, centering, sigma, gem_p, scales, flip, attention.

        Returns:
            The counts of images; `left_out` counts the files that were skipped, by kind.

        Raises:
            ConfigError: there are no images, or an option is invalid or contradicts the
                collection.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
            ImageError: with `strict`, an image is bad.
            ExtractorChanged: the collection got another extractor meanwhile.
            DatabaseLost: the connection was lost.
            ClusterLost: the Ray cluster cannot be reached, or its nodes were lost.
        """
        from spocdb import ingest as ingesting
        from spocdb.api.extractors import path_of
        from spocdb.features.selection import Wanted
        from spocdb.pipeline.options import Options
        from spocdb.sources.lists import listed
        from spocdb.sources.opening import opened, terms_of
        from spocdb.storing import StoringOptions

        self._check_ray(ray)
        engine = self._engine
        options = ingesting.IngestOptions(
            StoringOptions(
                Options(engine.settings.limits, batch_size, exif, strict, thumbnails),
                retry_failed,
                # What one node does not see may be there on another.
                moves and ray is None,
            ),
            prune=prune,
            prune_gone=prune_gone,
            metadata=path_of("metadata", metadata),
            auto_pca=auto_pca,
            partitions=partitions,
        )
        terms = terms_of(engine.settings, Choice(recursive, all_files, follow_links, image_column))
        wanted = Wanted(
            extractor, path_of("weights", weights), recipe, path_of("codebook", codebook)
        )
        # Only a node needs the device.
        here = device if ray is None else "auto"
        with (
            self._storing(ray, terms, wanted, device, precision, prune=prune) as (terms, store),
            self._destination(collection, store) as destination,
        ):
            return ingesting.Ingest(
                destination,
                lambda recipe: engine.extractor(recipe, here, precision),
                lambda recipe: None if precision == "bfloat16" else engine.stack(recipe, here),
                opened(paths, terms, listed(names_from, urls_from)),
                wanted,
                engine.settings.cache_dir,
                options,
                on_progress,
            )()

    def _check_ray(self, ray: str | None) -> None:
        """Raise ConfigError if no Ray cluster may store what is ingested; here any may."""

    @contextmanager
    def _destination(
        self, collection: str, store: "Store | None" = None
    ) -> "Iterator[Destination]":
        """Yield a collection as the destination of an ingest, which `store` stores elsewhere."""
        from spocdb.destination import OneDatabase

        engine = self._engine
        with engine.connection() as connection:
            yield OneDatabase(connection, engine.connect, collection, store)

    @contextmanager
    def _storing(
        self,
        ray: str | None,
        terms: "Terms",
        wanted: "Wanted",
        device: str,
        precision: "Precision",
        *,
        prune: bool,
    ) -> "Iterator[tuple[Terms, Store | None]]":
        """Yield the terms of the listing, and the Ray cluster that stores it; None is here."""
        if ray is None:
            yield terms, None
            return
        from spocdb.api.engine import Engine
        from spocdb.distributed.actor import Order
        from spocdb.distributed.cluster import connected
        from spocdb.features.selection import files_of

        if prune:
            raise ConfigError(
                "prune is not for a Ray cluster: ingest with it once more, without `ray=...`",
                field="prune",
            )
        if device.partition(":")[2]:
            raise ConfigError(
                f"device must be auto, cpu or cuda on a Ray cluster, not {device}: each of its "
                "actors has one",
                field="device",
            )
        settings = self._engine.settings
        order = Order(
            *(Engine, self._engine.url, terms.choice),
            *(settings.max_pixels, settings.max_bytes, settings.allow_private),
            *(files_of(wanted), device, precision),
        )
        with connected(ray) as cluster:
            # Nodes open the archives.
            yield replace(terms, unopened=True), partial(cluster.store, order)

    def gone(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
    ) -> "list[GoneRoot]":
        """Return the `paths` that have stored images but are gone or hold no image any more.

        An ingest with `prune` refuses them unless `prune_gone` is given. `choice` selects the
        files.
        """
        from spocdb.sources.opening import opened, terms_of

        source = opened(paths, terms_of(self._engine.settings, choice))
        with self._destination(collection) as destination:
            return destination.gone_roots(source) if destination.find(must=False) else []

    def preview(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
        names_from: str | os.PathLike[str] | None = None,
        urls_from: str | os.PathLike[str] | None = None,
        prune: bool = False,
        exif: bool = False,
    ) -> "Progress":
        """Count what `ingest` would do with these paths, and change nothing.

        Args:
            *paths: files and folders.
            collection: its name; it need not exist.
            choice: which files of the folders are read.
            names_from: as of `ingest`.
            urls_from: as of `ingest`.
            prune: count the images that would be deleted too.
            exif: as of `ingest`.

        Returns:
            `n_new` counts the files that `ingest` would read, including those that would fail;
            `n_pruned` the images that it would delete if none of them was moved to another path.

        Raises:
            ConfigError: the collection is of an attached table.
        """
        from spocdb import ingest as ingesting
        from spocdb.sources.lists import listed
        from spocdb.sources.opening import opened, terms_of

        terms = terms_of(self._engine.settings, choice)
        source = opened(paths, terms, listed(names_from, urls_from))
        with self._destination(collection) as destination:
            return ingesting.preview(destination, source, prune=prune, exif=exif)

    def ingest_beside(self, folder: str | os.PathLike[str], collection: str | None = None) -> str:
        """Ingest a folder to fit a collection's PCA on; return the name of the new collection.

        The images are stored in a separate collection, not for searches. Its name begins with the
        folder's name and ends with a hash of the folder's whole path and the extractor. Images
        whose file is gone are pruned.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: the folder holds no images.
        """
        from spocdb import projections as fitting
        from spocdb.sources import kinds
        from spocdb.sources.opening import opened
        from spocdb.sources.source import check_any

        with self._engine.connection() as connection:
            recipe = collections.get(connection, collection).recipe
        real = os.path.realpath(folder)
        name = fitting.name_beside(real, recipe.name)
        # Refuse a folder without images: the ingest below would prune all that were stored.
        check_any(opened([real]))
        done = self.ingest(
            real, collection=name, extractor=recipe.name, auto_pca=0, prune=True, thumbnails=False
        )
        images_, failed = counted(done.n_seen, "image"), f"{done.n_failed} failed"
        log.info("%s, %s: kept as collection %s", images_, failed, name)
        if left_out := kinds.told(done.left_out):
            log.warning("left out: %s", left_out)
        return name
