"""Projections in the API: `db.pca`."""

import os
from pathlib import Path

from spocdb import augmentation
from spocdb import projections as fitting
from spocdb.api.session import Session
from spocdb.db import collections, embeddings, engine, projections
from spocdb.db.projections import ProjectionSummary
from spocdb.errors import ConfigError
from spocdb.features import projection_files
from spocdb.features.recipes import channels
from spocdb.progress import Say, silent
from spocdb.records import Projection


class Pca:
    """The projections of a database; `db.pca`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @engine.wrapped()
    def fit(
        self,
        *names: str,
        dim: int = fitting.DEFAULT_DIM,
        whiten: bool = True,
        centre: bool = True,
        regularisation: float = 0.0,
        say: Say = silent,
    ) -> int:
        """Fit a PCA on the images of one or more collections; return its number.

        Without a name: the only collection. It changes no search until it is activated. `say` gets
        a line where dimensions or images are too few for good results.
        """
        connection = self._session.connection
        targets = [collections.get(connection, name) for name in names or (None,)]
        return fitting.fit(
            connection,
            targets,
            dim,
            whiten=whiten,
            centre=centre,
            regularisation=regularisation,
            say=say,
        )

    @engine.wrapped()
    def list(self) -> list[ProjectionSummary]:
        """List the projections, oldest first."""
        return projections.summaries(self._session.connection)

    @engine.wrapped()
    def show(self, number: int) -> tuple[ProjectionSummary, Projection]:
        """Return what is known about a projection, and its numbers. Raises ProjectionNotFound."""
        connection = self._session.connection
        return projections.get(connection, number), projections.load(connection, number)

    @engine.wrapped()
    def activate(self, number: int, collection: str | None = None, say: Say = silent) -> None:
        """Let a collection answer by a projection; its embeddings are built first if need be."""
        target = collections.get(self._session.connection, collection)
        fitting.activate(self._session.connection, self._session.connect, target, number, say)

    @engine.wrapped()
    def augment(
        self,
        collection: str | None = None,
        *,
        neighbours: int = 5,
        alpha: float = 3.0,
        say: Say = silent,
    ) -> int:
        """Add to every embedding its nearest neighbours, and let the collection answer by that.

        Database-side augmentation; returns the number of the new projection. `rollback` undoes it.
        """
        target = collections.get(self._session.connection, collection)
        return augmentation.augment(self._session.connection, target, neighbours, alpha, say)

    @engine.wrapped()
    def rollback(self, collection: str | None = None, say: Say = silent) -> int:
        """Let the projection before answer again; return its number."""
        target = collections.get(self._session.connection, collection)
        return fitting.rollback(self._session.connection, self._session.connect, target, say)

    @engine.wrapped()
    def export(self, number: int, file: str | os.PathLike[str]) -> None:
        """Write a projection to a .safetensors or .npz file."""
        summary, projection = self.show(number)
        if summary.kind == "raw":
            raise ConfigError(f"projection {number} is the raw one: there is nothing to export")
        if augmented := summary.settings.get("augmented"):
            raise ConfigError(
                f"projection {number} is an augmentation: export {augmented['base']}, its base"
            )
        extractors = collections.extractor_summaries(self._session.connection)
        recipe = next(e.recipe for e in extractors if e.name == summary.extractor)
        projection_files.save(Path(file), projection, recipe, summary.fitted_on)

    @engine.wrapped()
    def import_(self, file: str | os.PathLike[str], say: Say = silent) -> int:
        """Store an exported projection, and its extractor if that is new; return its number.

        Raises ConfigError for numbers that cannot be used; what is only unusual is said.
        """
        projection, recipe, fitted_on = projection_files.load(Path(file), say)
        connection = self._session.connection
        extractor = collections.add_extractor(connection, recipe, channels(recipe))
        return projections.store(connection, extractor, projection, fitted_on)

    @engine.wrapped()
    def drop(self, number: int, collection: str | None = None, *, dry_run: bool = False) -> None:
        """Drop a projection, or only its embeddings of one collection; never an active one.

        `dry_run` raises what dropping would raise, and changes nothing.
        """
        with self._session.connection.transaction(force_rollback=dry_run):
            self._drop(number, collection)

    def _drop(self, number: int, collection: str | None) -> None:
        connection = self._session.connection
        if collection is None:
            projections.drop(connection, number)
            return
        target = collections.get(connection, collection)
        if target.active_projection_id == number:
            raise ConfigError(
                f"projection {number} is the active one of {target.name}: activate another first"
            )
        embeddings.drop(connection, target, number)
