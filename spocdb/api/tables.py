"""Attached tables in the API: `db.tables`."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import attachments, collections, connections, images, queue
from spocdb.db.attachments import Attached, Attachment, Coverage, Throughput
from spocdb.errors import ConfigError
from spocdb.recipe_options import RecipeOptions

if TYPE_CHECKING:
    from spocdb.features.precision import Precision
    from spocdb.progress import Progress
    from spocdb.worker import WorkerOptions

log = logging.getLogger(__name__)


class Tables(Part):
    """The tables of an application that are attached; `db.tables`."""

    def attach(
        self,
        attachment: Attachment,
        collection: str | None = None,
        *,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        partitions: int | None = None,
        **recipe: Unpack[RecipeOptions],
    ) -> str:
        """Make a collection of a table's rows. Workers embed the rows and every later change.

        All rows are queued, and triggers queue every later change. Attaching again replaces the
        settings and queues all rows again.

        Args:
            attachment: the table, and which columns name a row and hold its image.
            collection: its name; None is the table's.
            extractor: as in `Database.ingest`, like the options after it.
            weights: the network's weights; by default the preset's own.
            device: where the network is loaded to test it: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            partitions: how many tables hold the embeddings of a new collection, 1 to 256; None is
                one. See docs/how-to/partitions.md.
            **recipe: options on top of the preset.

        Returns:
            The name of the collection.

        Raises:
            ConfigError: the table cannot be attached like that, an option is invalid, or the
                collection has another number of partitions.
            InvalidValue: `partitions` is out of range, or `attachment` is of another type.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        from spocdb.api.extractors import path_of
        from spocdb.choosing import choose
        from spocdb.db import indexes
        from spocdb.features.recipes import channels
        from spocdb.features.selection import Wanted

        if not isinstance(attachment, Attachment):
            raise checks.invalid("attachment", attachment, "an Attachment")
        engine, wanted = self._engine, Wanted(extractor, path_of("weights", weights), recipe)
        with engine.connection() as connection:
            name = collection or attachments.relation_name(connection, attachment.relation)
            if name is None:
                table = attachment.relation
                raise ConfigError(f"there is no table {table}: name it as SCHEMA.TABLE")
            attachments.judge(connection, attachment)  # before weights are downloaded for it
            found = collections.find(connection, name)
            collections.check_partitions(found, partitions)
            chosen = choose(connection, wanted, found, engine.settings.cache_dir)
            chosen.prove(lambda new: engine.extractor(new, device, precision))
            with connection.transaction():
                collections.add_extractor(connection, chosen.recipe, channels(chosen.recipe))
                name = attachments.attach(connection, attachment, name, chosen.recipe.name)
            if partitions is not None:
                target = collections.get(connection, name)
                indexes.divide(connection, target, partitions, engine.connect)
            return name

    def detach(self, collection: str) -> None:
        """Undo `attach`: drop the collection and the triggers; the table stays.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: the name is no text.
            ConfigError: it is not of an attached table.
        """
        checks.text("collection", collection)
        with self._engine.connection() as connection:
            attachments.detach(connection, collection)

    def list(self) -> list[Attached]:
        """List the attached tables."""
        with self._engine.connection() as connection:
            return attachments.attached(connection)

    def work(
        self,
        *names: str,
        once: bool = False,
        weights: Sequence[str | os.PathLike[str]] = (),
        device: str = "auto",
        precision: "Precision" = "auto",
        options: "WorkerOptions | None" = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> "Progress":
        """Embed what is in the queue until stopped, and answer queries asked in SQL.

        In the queue are changes of the attached tables, and what `Database.enqueue` put there.

        Any number of workers share the work. If the database goes away, the worker reconnects,
        unless `once`. It opens its own connections outside the pool.

        Args:
            *names: collections; without names, all. Queries are answered about any collection.
            once: return when nothing is due.
            weights: files that this machine has not seen yet.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            options: leases, pauses and limits; times in seconds.
            is_stopped: polled; once it returns True, the worker finishes its batch and returns.

        Returns:
            The counts of the whole run.

        Raises:
            CollectionNotFound: a name is of no collection.
            WeightsNotFound: weights that are needed are not on this machine.
            SourceBroken: with `once`, a table could not be read.
            DatabaseLost: with `once`, the connection was lost.
        """
        from spocdb.features.weights import remember
        from spocdb.sources.opening import terms_of
        from spocdb.worker import Worker, WorkerOptions

        for file in weights:
            remember(checks.file("weights", file), self._engine.settings.cache_dir)
        worker = Worker(
            # A worker watches its own connections.
            partial(connections.connect, self._engine.url, self._engine.statement_seconds),
            lambda recipe: self._engine.extractor(recipe, device, precision),
            lambda recipe: self._engine.extractor(recipe, device, "float32"),
            options or WorkerOptions(self._engine.settings.limits),
            is_stopped,
            terms_of(self._engine.settings),
        )
        return worker.run(names, once=once)

    def retry(
        self,
        collection: str | None = None,
        keys: Sequence[str] | None = None,
    ) -> int:
        """Make failed rows and rows in back-off due at once, all of them or those with the keys.

        Of a collection without a table these are images and archives, by their names, which workers
        then read. A warning is logged for each key without such a row.

        Returns:
            How many rows are due now; named rows that were already due count too.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: a key is no text.
        """
        wanted = None if keys is None else checks.texts("keys", keys)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            unknown = queue.neither_failed_nor_waiting(connection, target, wanted or ())
            n_rows = queue.retry(connection, target.name, wanted)
        for key in unknown:
            log.warning("no failed or waiting row has the key %s", key)
        return n_rows

    def coverage(self, collection: str | None = None) -> Sequence[Coverage]:
        """Count the embedded images of each collection, attached or not, for each projection.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            if collection is not None:
                collections.get(connection, collection)
            return attachments.coverage(connection, collection)

    def throughput(self, collection: str | None = None) -> Sequence[Throughput]:
        """Return how fast collections grow, and when their queues will be empty at this rate.

        Only collections that got images within the last five minutes are listed.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            if collection is not None:
                collections.get(connection, collection)
            return attachments.throughput(connection, collection)

    def image_id(self, key: str, collection: str | None = None) -> int:
        """Return the id of the image of a row, for `Database.similar`.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: no row with this key has an image yet.
            InvalidValue: the key is no text.
        """
        checks.text("key", key)
        with self._engine.connection() as connection:
            return images.find(connection, collections.get(connection, collection), key)

    def names_by(self, collection: str | None = None) -> str:
        """Return how images of a collection are named: "key" if it is attached, else "path".

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return "key" if attachments.find(connection, target) else "path"
