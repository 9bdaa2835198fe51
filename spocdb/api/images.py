"""The images of collections in the API: `db.images`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from spocdb.api.session import Session
from spocdb.db import attachments, catalogue, collections, engine
from spocdb.db import metadata as about
from spocdb.db.catalogue import ImageDetails, StoredImage
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError
from spocdb.filters import Filter, to_json
from spocdb.progress import Say, logged
from spocdb.sources.files import modified
from spocdb.sources.names import printable


class Images:
    """The images that collections hold, by their ids, paths and metadata; `db.images`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        filter: Filter | None = None,
        *,
        collection: str | None = None,
        limit: int | None = None,
        say: Say = logged,
    ) -> Iterator[StoredImage]:
        """Yield the images of a collection by their path, at most `limit`, a page in memory.

        `say` is told why a filter finds nothing.
        """
        with engine.wrapped():
            target, wanted = self._target(collection), to_json(filter)
            n_found = 0
            for image in catalogue.listed(self._session.connection, target, wanted, limit):
                n_found += 1
                yield image
            about.explain(self._session.connection, target, wanted, n_found, say)

    @engine.wrapped()
    def count(
        self, filter: Filter | None = None, *, collection: str | None = None, say: Say = logged
    ) -> int:
        """Count the images of a collection that match a filter."""
        target, wanted = self._target(collection), to_json(filter)
        n_found = catalogue.count(self._session.connection, target, wanted)
        about.explain(self._session.connection, target, wanted, n_found, say)
        return n_found

    @engine.wrapped()
    def show(self, id: int) -> ImageDetails:
        """Return all that is known about an image. Raises ImageNotFound."""
        found = catalogue.details(self._session.connection, id)
        return found if found.table else replace(found, modified=modified(found.version))

    @engine.wrapped()
    def delete(
        self,
        ids: Sequence[int] = (),
        *,
        filter: Filter | None = None,
        collection: str | None = None,
        dry_run: bool = False,
        say: Say = logged,
    ) -> int:
        """Delete images by their ids, or by a filter; return how many. Files stay.

        A thousand are one transaction. Nothing is deleted if one of the ids is not there.
        Raises ConfigError for a collection that a table fills, and for a filter that is empty.
        """
        target, wanted = self._target(collection), to_json(filter)
        self._refuse_attached(target, "delete the rows, or attach it again with another condition")
        if bool(ids) == bool(wanted):
            raise ConfigError("give either ids or a filter: which images are to be deleted")
        connection = self._session.connection
        if ids:
            catalogue.check_ids(connection, target, ids)
            chosen = [*dict.fromkeys(ids)]
        else:
            chosen = [image.id for image in catalogue.listed(connection, target, wanted)]
            about.explain(self._session.connection, target, wanted, len(chosen), say)
        return len(chosen) if dry_run else catalogue.delete(connection, target, chosen)

    @engine.wrapped()
    def move(
        self,
        old: str | os.PathLike[str],
        new: str | os.PathLike[str],
        *,
        collection: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Tell that a file, or all below a folder, lies elsewhere now; return how many images.

        Ids, metadata and embeddings stay. No file is touched. Raises ConfigError if nothing is
        known at `old`, or another image is at the new path of one.
        """
        target = self._target(collection)
        self._refuse_attached(target, "change its image column")
        here, there = (printable(os.path.abspath(path)) for path in (old, new))
        if os.path.commonpath([here, there]) in (here, there):
            raise ConfigError(
                f"{here} and {there} lie within each other: move by way of a third path"
            )
        n_moved = catalogue.move(self._session.connection, target, here, there, dry_run=dry_run)
        if not n_moved:
            raise ConfigError(f"{target.name} has no image at {here}: see `db.images.list()`")
        return n_moved

    def _target(self, collection: str | None) -> Collection:
        return collections.get(self._session.connection, collection)

    def _refuse_attached(self, target: Collection, advice: str) -> None:
        for source in attachments.attached(self._session.connection, target.name):
            raise ConfigError(
                f"{target.name} is of the rows of {source.relation}, which decides what belongs to "
                f"it: {advice}"
            )
