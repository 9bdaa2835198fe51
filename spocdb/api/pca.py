"""Projections in the API: `db.pca`."""

import os

from spocdb import augmentation, checks
from spocdb import projections as fitting
from spocdb.api.part import Part
from spocdb.db import collections, embeddings, projections, versions
from spocdb.db.connections import Connection
from spocdb.db.projections import ProjectionSummary
from spocdb.db.versions import ProjectionVersion
from spocdb.errors import ConfigError
from spocdb.features import projection_files
from spocdb.features.recipes import channels
from spocdb.records import Projection


class Pca(Part):
    """The projections of a database, versioned: PCA and what is learned; `db.pca`."""

    def fit(
        self,
        *names: str,
        dim: int = fitting.DEFAULT_DIM,
        whiten: bool = True,
        centre: bool = True,
        regularisation: fitting.Regularisation = 0.0,
    ) -> int:
        """Fit a PCA on stored raw descriptors. Searches do not use it until it is activated.

        A warning is logged if dimensions or images are too few for good results.

        Args:
            *names: collections to fit on; without names, the only collection.
            dim: dimensions of the embeddings, N.
            whiten: divide by the singular values.
            centre: subtract the mean.
            regularisation: the part of the mean variance that is added to each variance; "auto"
                chooses it by the likelihood of images that are held out.

        Returns:
            The number of the projection; the same images and settings give the same one.

        Raises:
            CollectionNotFound: there is no such collection.
            NotEnoughSamples: there are fewer images than a PCA of `dim` dimensions needs.
            ConfigError: the collections have several extractors, or an option is out of range.
        """
        with self._engine.connection() as connection:
            targets = [collections.get(connection, name) for name in names or (None,)]
            return fitting.fit(
                connection,
                targets,
                dim,
                whiten=whiten,
                centre=centre,
                regularisation=regularisation,
            )

    def versions(self, collection: str | None = None) -> list[ProjectionVersion]:
        """List the projections that embed a collection or could, oldest first.

        These are the projections of its extractor, and of those whose embeddings it still keeps.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            return versions.versions(connection, collections.get(connection, collection))

    def list(self) -> list[ProjectionSummary]:
        """List the projections, oldest first."""
        with self._engine.connection() as connection:
            return projections.summaries(connection)

    def show(self, number: int) -> tuple[ProjectionSummary, Projection]:
        """Return a projection's description and its numbers.

        Raises:
            ProjectionNotFound: there is no such projection.
        """
        with self._engine.connection() as connection:
            return projections.get(connection, number), projections.load(connection, number)

    def activate(self, number: int, collection: str | None = None) -> None:
        """Activate a projection for a collection's searches; build its embeddings first if needed.

        Args:
            number: the projection; if it is of another extractor, the collection changes to that
                one.
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: there is no such projection.
            DatabaseError: some of the images have no raw descriptor of its extractor.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            fitting.activate(connection, self._engine.connect, target, number)

    def augment(
        self,
        collection: str | None = None,
        *,
        neighbours: int = 5,
        alpha: float = 3.0,
    ) -> int:
        """Add to every embedding its nearest neighbours, and activate the result.

        Database-side augmentation; `rollback` undoes it.

        Args:
            collection: the name; None if there is only one.
            neighbours: how many nearest ones, 1 to 1000.
            alpha: the exponent of the similarity that weighs each neighbour, 0 to 100.

        Returns:
            The number of the new projection.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: its projection is no fitted one, or a number is out of range.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return augmentation.augment(connection, target, neighbours, alpha)

    def rollback(self, collection: str | None = None) -> int:
        """Activate the previous projection and return its number. A second call undoes the first.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: there is no previous one, or its embeddings were dropped.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return fitting.rollback(connection, self._engine.connect, target)

    def export(self, number: int, file: str | os.PathLike[str]) -> None:
        """Write a projection to a .safetensors or .npz file.

        Raises:
            ProjectionNotFound: there is no such projection.
            ConfigError: it is the raw one or an augmentation, or the file cannot be written.
        """
        path = checks.file("file", file)
        summary, projection = self.show(number)
        if summary.kind == "raw":
            raise ConfigError(f"projection {number} is the raw one: there is nothing to export")
        if augmented := summary.settings.get("augmented"):
            raise ConfigError(
                f"projection {number} is an augmentation: export {augmented['base']}, its base"
            )
        with self._engine.connection() as connection:
            recipes = collections.recipes(connection)
        recipe = next(recipe for recipe in recipes if recipe.name == summary.extractor)
        projection_files.save(path, projection, recipe, summary.fitted_on)

    def import_(self, file: str | os.PathLike[str]) -> int:
        """Store an exported projection, and its extractor if that is new; return its number.

        A warning is logged if its numbers are unusual.

        Raises:
            ConfigError: the file cannot be read, or its numbers cannot be used.
        """
        projection, recipe, fitted_on = projection_files.load(checks.file("file", file))
        with self._engine.connection() as connection:
            extractor = collections.add_extractor(connection, recipe, channels(recipe))
            return projections.store(connection, extractor, projection, fitted_on)

    def drop(self, number: int, collection: str | None = None, *, dry_run: bool = False) -> None:
        """Drop an inactive projection, or only its embeddings of one collection.

        With `dry_run` the same errors are raised, and nothing is changed.

        Raises:
            ProjectionNotFound: there is no such projection.
            CollectionNotFound: there is no such collection.
            ConfigError: it is active.
        """
        with (
            self._engine.connection() as connection,
            connection.transaction(force_rollback=dry_run),
        ):
            _drop(connection, number, collection)


def _drop(connection: Connection, number: int, collection: str | None) -> None:
    number = checks.projection(number, "number")
    if collection is None:
        projections.drop(connection, number)
        return
    target = collections.get(connection, collection)
    if target.active_projection_id == number:
        raise ConfigError(
            f"projection {number} is the active one of {target.name}: activate another first"
        )
    embeddings.drop(connection, target, number)
