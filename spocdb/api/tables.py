"""Attached tables in the API: `db.tables`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spocdb.api.session import Session
from spocdb.db import attachments, collections, engine, images, queue
from spocdb.db.attachments import Attached, Attachment, Coverage
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ConfigError
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted
from spocdb.features.weights import remember
from spocdb.progress import Progress, Say, silent
from spocdb.settings import Limits
from spocdb.sources.files import FilesSource
from spocdb.sources.rows import ROWS_PART_OF_MEMORY, RowsSource
from spocdb.sources.source import Source
from spocdb.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from spocdb.features.extractor import Precision


class Tables:
    """The tables of an application that are attached; `db.tables`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @engine.wrapped()
    def attach(
        self,
        attachment: Attachment,
        collection: str | None = None,
        *,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        **recipe: Any,
    ) -> str:
        """Make a collection of a table's rows; return its name, the table's unless one is given.

        Triggers note every change from now on, and every row there is; workers do the rest. The
        extractor is chosen as by `Database.ingest`. Attached again, the table is looked at anew, by
        what is said now. Raises ConfigError for a table that cannot be attached like that.
        """
        connection = self._session.connection
        name = collection or attachments.relation_name(connection, attachment.relation)
        if name is None:
            raise ConfigError(f"there is no table {attachment.relation}: name it as SCHEMA.TABLE")
        attachments.judge(connection, attachment)  # before weights are downloaded for it
        found = collections.find(connection, name)
        wanted = Wanted(extractor, None if weights is None else Path(weights), recipe)
        chosen = self._session.choose(wanted, found)
        self._session.prove(chosen, device, precision)
        with connection.transaction():
            collections.add_extractor(connection, chosen, channels(chosen))
            return attachments.attach(connection, attachment, name, chosen.name)

    @engine.wrapped()
    def detach(self, collection: str) -> None:
        """Undo `attach`: the collection goes, the table stays as it was before."""
        attachments.detach(self._session.connection, collection)

    @engine.wrapped()
    def list(self) -> list[Attached]:
        """List the attached tables."""
        return attachments.attached(self._session.connection)

    @engine.wrapped()
    def work(
        self,
        *names: str,
        once: bool = False,
        weights: Sequence[str | os.PathLike[str]] = (),
        device: str = "auto",
        precision: "Precision" = "auto",
        options: WorkerOptions | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
        say: Say = silent,
    ) -> Progress:
        """Embed what changed in the attached tables, all or those named, until it is stopped.

        `once` ends when nothing is due any more. Any number of workers share the work. A database
        that goes away is waited for, unless `once`: then DatabaseLost is raised. `weights` are
        files that this machine has not seen yet. Raises WeightsNotFound for one that is needed.
        """
        for file in weights:
            remember(Path(file), self._session.settings.cache_dir)
        worker = Worker(
            self._session.connect_alone,  # a worker looks after its own
            lambda recipe: self._session.extractor(recipe, device, precision),
            options or WorkerOptions(self._session.settings.limits),
            is_stopped,
            say,
        )
        return worker.run(names, once=once)

    @engine.wrapped()
    def retry(
        self,
        collection: str | None = None,
        keys: Sequence[str] | None = None,
        *,
        say: Say = silent,
    ) -> int:
        """Let workers try failed rows and those in back-off at once, all or those named.

        Returns how many wait now; of those named the ones that are due already count too. `say`
        is told which keys are of no such row.
        """
        connection = self._session.connection
        target = collections.get(connection, collection)
        for key in queue.neither_failed_nor_waiting(connection, target, keys or ()):
            say(f"no failed or waiting row has the key {key}")
        return queue.retry(connection, target.name, keys)

    @engine.wrapped()
    def coverage(self, collection: str | None = None) -> Sequence[Coverage]:
        """Count how far each collection is, attached or not, by each of its projections."""
        if collection is not None:
            collections.get(self._session.connection, collection)
        return attachments.coverage(self._session.connection, collection)

    @engine.wrapped()
    def image_id(self, key: str, collection: str | None = None) -> int:
        """Return the id of the image of a row, for `Database.similar`. Raises ImageNotFound."""
        target = collections.get(self._session.connection, collection)
        return images.find(self._session.connection, target, key)

    @engine.wrapped()
    def names_by(self, collection: str | None = None) -> str:
        """Return what names an image of a collection: "key" if it is attached, else "path"."""
        name = collections.get(self._session.connection, collection).name
        return "key" if attachments.attached(self._session.connection, name) else "path"


def source_of(connection: Connection, collection: Collection, limits: Limits) -> Source:
    """Return where the images of a collection are: files, or the rows of its table."""
    for table in attachments.attached(connection, collection.name):
        return RowsSource(
            *(connection, collection, table, limits.max_bytes),
            bytes_at_once=limits.memory // ROWS_PART_OF_MEMORY,
            rows_at_once=limits.threads,
        )
    return FilesSource()
