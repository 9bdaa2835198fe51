"""The API's door: one database, and what can be done with it."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spocdb import codebooks, pruning
from spocdb import ingest as ingesting
from spocdb import projections as fitting
from spocdb import reembed as reembedding
from spocdb import search as searching
from spocdb.api.images import Images
from spocdb.api.index import Index
from spocdb.api.pca import Pca
from spocdb.api.session import Session
from spocdb.api.tables import Tables, source_of
from spocdb.db import (
    collections,
    details,
    engine,
    evaluations,
    images,
    ownership,
    rights,
    runs,
)
from spocdb.db import metadata as about
from spocdb.db.collections import CollectionSummary, ExtractorSummary
from spocdb.db.details import CollectionDetails
from spocdb.db.evaluations import StoredEvaluation
from spocdb.db.runs import Failure
from spocdb.db.search import Hit
from spocdb.errors import ConfigError, ImageTooLarge, UnreadableImage
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted
from spocdb.filters import Filter, to_json
from spocdb.images.regular import read_bytes
from spocdb.pipeline.run import Options
from spocdb.progress import Progress, Say, logged, silent
from spocdb.pruning import GoneRoot
from spocdb.records import Crop, Recipe, Refinement
from spocdb.settings import DEFAULT_COLLECTION, Settings
from spocdb.sources import kinds
from spocdb.sources.files import EVERYTHING, Choice, FilesSource
from spocdb.sources.source import read_one
from spocdb.sources.walking import walk
from spocdb.storing import StoringOptions
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.codebooks import Kind
    from spocdb.features.extractor import Extractor, Precision


NOTHING_MORE = Refinement()


class Database(AbstractContextManager["Database"]):
    """One database and what can be done with it; not to be used by two threads at once.

    Lists and results are frozen records. Every method raises SpocdbError, and only that, for what
    is outside the program; `say` gets lines about what is going on.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.session = settings, Session(settings)
        self.url, self.connection = self.session.url, self.session.connection
        self.pca = Pca(self.session)
        self.images = Images(self.session)
        self.index = Index(self.session)
        self.tables = Tables(self.session)

    def close(self) -> None:
        """Close the connection; an embedded server runs on."""
        self.connection.close()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @engine.wrapped()
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
        say: Say = silent,
        **recipe: Any,
    ) -> Progress:
        """Bring the images under `paths` into a collection, which is made if it is new.

        `recipe` are the options of `features.recipes.make_recipe` (size, fit, relu, pooling,
        centering, sigma, gem_p, scales, flip, attention) on top of the preset `extractor`,
        `codebook` the file that pooling by Fisher vectors or triangulation needs.

        Folders give the files with an image's suffix; `all_files` also gives those that begin as an
        image, `follow_links` also what linked folders hold. What is left out is counted in the
        returned `left_out`. Files that are stored unchanged are not read. With `moves`, a file
        whose bytes are stored under a path that is gone takes over that image: id and metadata
        stay. `exif` stores what photographs say of themselves (docs/IMAGES.md); what `metadata`
        says wins. With `prune`, images under `paths` whose file is gone are deleted; of a path that
        is itself gone, or empty, only with `prune_gone`. Once there are `auto_pca` images (0:
        never) a first PCA is fitted. An image that fails does not stop the run: see `failures`.
        What is written stays, whatever happens.
        """
        choice = Choice(recursive, all_files, follow_links)
        return ingesting.Ingest(
            self.connection,
            self.session.connect,
            lambda recipe: self.session.extractor(recipe, device, precision),
            FilesSource([os.fspath(path) for path in paths], choice),
            collection,
            Wanted(extractor, _path(weights), recipe, _path(codebook)),
            self.settings.cache_dir,
            ingesting.IngestOptions(
                StoringOptions(
                    Options(self.settings.limits, batch_size, exif, strict), retry_failed, moves
                ),
                prune=prune,
                prune_gone=prune_gone,
                metadata=_path(metadata),
                auto_pca=auto_pca,
            ),
            on_progress,
            say,
        )()

    @engine.wrapped()
    def gone(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
    ) -> list[GoneRoot]:
        """Return those of `paths` that are gone or hold no image any more, but did once.

        An ingest with `prune` refuses them unless `prune_gone` is given.
        """
        if (target := collections.find(self.connection, collection)) is None:
            return []
        source = FilesSource([os.fspath(path) for path in paths], choice)
        return pruning.gone_roots(self.connection, target, source)

    @engine.wrapped()
    def preview(
        self,
        *paths: str | os.PathLike[str],
        collection: str = DEFAULT_COLLECTION,
        choice: Choice = EVERYTHING,
        prune: bool = False,
        exif: bool = False,
    ) -> Progress:
        """Count what `ingest` would do with these paths, and change nothing.

        `n_new` are the files that it would read, whatever becomes of them; `n_pruned` the images
        that it would delete if none of them is found again under another path.
        """
        source = FilesSource([os.fspath(path) for path in paths], choice)
        return ingesting.preview(self.connection, collection, source, prune=prune, exif=exif)

    @engine.wrapped()
    def ingest_beside(
        self, folder: str | os.PathLike[str], collection: str | None = None, say: Say = silent
    ) -> str:
        """Ingest other images by a collection's extractor, for its PCA; return their collection.

        That is a collection of its own, never a gallery. Its name begins with the folder's and ends
        with a hash of the folder's whole path and the extractor; it holds what the folder holds.
        """
        recipe = collections.get(self.connection, collection).recipe
        real = os.path.realpath(folder)
        name = fitting.name_beside(real, recipe.name)
        # What is no folder of images is no reason to forget those that were there.
        FilesSource([real]).check_any()
        done = self.ingest(
            real, collection=name, extractor=recipe.name, auto_pca=0, prune=True, say=say
        )
        images_, failed = counted(done.n_seen, "image"), f"{done.n_failed} failed"
        say(f"{images_}, {failed}: kept as collection {name}")
        if left_out := kinds.told(done.left_out):
            say(f"left out: {left_out}")
        return name

    @engine.wrapped()
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
        say: Say = silent,
        **recipe: Any,
    ) -> int:
        """Take a collection to another extractor; return the number of its projection then.

        The extractor is chosen as by `ingest`, the projection fitted as the active one was, to
        `dim` dimensions if that is given. Searches and ingests go on until the switch at the end,
        and `pca.rollback` undoes it. Raises ConfigError if files are gone or changed.
        """
        target = collections.get(self.connection, collection)
        chosen = self.session.choose(Wanted(extractor, _path(weights), recipe, _path(codebook)))
        if chosen == target.recipe:
            say(f"{target.name} has the extractor {chosen.name} already: nothing to do")
            return target.active_projection_id
        self.session.prove(chosen, device, precision)
        n_channels = channels(chosen)
        extractor_id = collections.add_extractor(self.connection, chosen, n_channels)
        say(f"{target.name}: from {target.recipe.name} to {chosen.name}")
        return reembedding.reembed(
            self.connection,
            self.session.connect,
            replace(target, extractor_id=extractor_id, recipe=chosen, channels=n_channels),
            source_of(self.connection, target, self.settings.limits),
            lambda: self.session.extractor(chosen, device, precision),
            self.settings.limits,
            dim,
            on_progress,
            say,
        )

    @engine.wrapped()
    def search(
        self,
        image: str | os.PathLike[str] | bytes,
        k: int = 10,
        *,
        collection: str | None = None,
        crop: Crop | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        refinement: Refinement = NOTHING_MORE,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        device: str = "auto",
        say: Say = logged,
    ) -> list[Hit]:
        """Return the k images that look most like an image file (a path, or its bytes).

        `filter` says which images are meant, see docs/FILTERS.md; `say` is told why it finds none.
        `weights` and `codebook` are needed only where the collection's files were never seen on
        this machine.
        """
        target, wanted = collections.get(self.connection, collection), to_json(filter)
        if weights is not None or codebook is not None:
            self.session.choose(Wanted(weights=_path(weights), codebook=_path(codebook)), target)
        with _named(image):
            hits = searching.search(
                self.connection,
                target,
                image if isinstance(image, bytes) else _read(Path(image), self.settings.max_bytes),
                # One image gains nothing from a lower precision.
                lambda recipe: self.session.extractor(recipe, device, "float32"),
                k,
                crop=crop,
                filter=wanted,
                exact=exact,
                refinement=refinement,
                max_pixels=self.settings.max_pixels,
            )
        about.explain(self.connection, target, wanted, len(hits), say)
        return hits

    @engine.wrapped()
    def similar(
        self,
        id: int,
        k: int = 10,
        *,
        collection: str | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        refinement: Refinement = NOTHING_MORE,
        say: Say = logged,
    ) -> list[Hit]:
        """Return the k images that look most like one of the collection's own, without it."""
        target, wanted = collections.get(self.connection, collection), to_json(filter)
        hits = searching.similar(
            self.connection, target, id, k, filter=wanted, exact=exact, refinement=refinement
        )
        about.explain(self.connection, target, wanted, len(hits), say)
        return hits

    @engine.wrapped()
    def collection(self, name: str | None = None) -> str:
        """Return the name of the collection that is meant where none is given."""
        return collections.get(self.connection, name).name

    @engine.wrapped()
    def path(self, id: int, *, collection: str | None = None) -> str:
        """Return the path, or key, of one of the collection's images. Raises ImageNotFound."""
        return images.path(self.connection, collections.get(self.connection, collection), id)

    @engine.wrapped()
    def looked_after(
        self, say: Say, is_stopped: Callable[[], bool] = lambda: False
    ) -> AbstractContextManager[None]:
        """Say who holds a lock that is waited for, and leave a server that does not answer.

        While the block lasts. Once `is_stopped`, a statement that lasts seconds is cancelled.
        """
        return self.session.looked_after(say, is_stopped)

    def reader(self, collection: str | None = None) -> Callable[[str], bytes]:
        """Return what reads the collection's images by path, or key; it raises ImageError."""
        target, limits = collections.get(self.connection, collection), self.settings.limits
        source = source_of(self.connection, target, limits)
        return engine.wrapped()(partial(read_one, source, max_bytes=limits.max_bytes))

    @engine.wrapped()
    def failures(self, collection: str | None = None) -> list[Failure]:
        """List the images that did not make it, of one collection or of all."""
        if collection is not None:
            collections.get(self.connection, collection)
        return runs.failures(self.connection, collection)

    @engine.wrapped()
    def collections(self) -> list[CollectionSummary]:
        """List the collections."""
        return collections.summaries(self.connection)

    @engine.wrapped()
    def describe(self, collection: str | None = None) -> CollectionDetails:
        """Return all that is known about a collection."""
        target = collections.get(self.connection, collection)
        return details.get(self.connection, target)

    @engine.wrapped()
    def drop(self, collection: str) -> None:
        """Drop a collection; its raw descriptors stay, so that ingesting again is cheap."""
        collections.drop(self.connection, collections.get(self.connection, collection))

    @engine.wrapped()
    def grant_reader(self, role: str, collection: str | None = None) -> None:
        """Let a role read and search one collection, and nothing else."""
        rights.grant_reader(self.connection, role, collections.get(self.connection, collection))

    @engine.wrapped()
    def grant_owner(self, role: str) -> None:
        """Make a role that is no superuser the owner of spocdb; to be run by a superuser."""
        ownership.hand_over(self.connection, role)

    @engine.wrapped()
    def grant_worker(self, role: str) -> None:
        """Let a role do what `tables.work` does, and nothing else."""
        rights.grant_worker(self.connection, role)

    @engine.wrapped()
    def recipe(
        self,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        **recipe: Any,
    ) -> Recipe:
        """Return the recipe that an ingest with these options would make a collection with."""
        return self.session.choose(Wanted(extractor, _path(weights), recipe))

    @engine.wrapped()
    def extractor(
        self,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        **recipe: Any,
    ) -> "Extractor":
        """Load the network that an ingest with these options would use."""
        return self.session.extractor(self.recipe(extractor, weights, **recipe), device, precision)

    @engine.wrapped()
    def learn_codebook(
        self,
        folder: str | os.PathLike[str],
        file: str | os.PathLike[str],
        kind: "Kind" = "fisher",
        k: int = 16,
        *,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        say: Say = silent,
        **recipe: Any,
    ) -> int:
        """Learn a codebook from the images of a folder into a file; return how many there were.

        `say` gets what is left out: files that are no images, and images that cannot be read.
        """
        left_out = kinds.LeftOut()
        found = walk([Path(folder)], recursive=True, left_out=left_out)
        files = [Path(path) for path in found]
        if told := kinds.told(left_out):
            say(f"left out: {told}")
        network = self.extractor(extractor, weights, device, precision, **recipe)
        return codebooks.learn_into(Path(file), network, kind, k, files, self.settings, say)

    @engine.wrapped()
    def evaluations(self, benchmark: str | None = None) -> list[StoredEvaluation]:
        """List the stored evaluations, of one benchmark or of all, oldest first."""
        return evaluations.stored(self.connection, benchmark)

    @engine.wrapped()
    def extractors(self) -> list[ExtractorSummary]:
        """List the extractors that the database knows."""
        return collections.extractor_summaries(self.connection)


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


@contextmanager
def _named(image: str | os.PathLike[str] | bytes) -> Iterator[None]:
    """Name the file in an error about its content; bytes have no name."""
    try:
        yield
    except (UnreadableImage, ImageTooLarge) as exc:
        if isinstance(image, bytes):
            raise
        raise type(exc)(f"{os.fspath(image)}: {exc}") from exc


def _read(image: Path, max_bytes: int) -> bytes:
    try:
        return read_bytes(image, max_bytes)
    except OSError as exc:
        raise ConfigError(f"cannot read {image}: {exc.strerror}") from exc
