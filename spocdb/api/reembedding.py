"""Re-embedding in the API: another extractor for a collection."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Unpack

from spocdb.api.part import Part
from spocdb.db import attachments, collections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.recipe_options import RecipeOptions
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.features.precision import Precision
    from spocdb.progress import Progress
    from spocdb.sources.source import Source

log = logging.getLogger(__name__)


class Reembedding(Part):
    """The method of Database that changes a collection's extractor."""

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
        on_progress: "Callable[[Progress], None]" = lambda progress: None,
        **recipe: Unpack[RecipeOptions],
    ) -> int:
        """Move a collection to another extractor; its images are read again.

        Searches and ingests continue until the switch at the end, which `pca.rollback` undoes.
        After an interruption the same call continues.

        Args:
            extractor: chosen as by `ingest`, and so are the options after it.
            collection: the name; None if there is only one.
            weights: the network's weights; by default the preset's own.
            codebook: the file that pooling by Fisher vectors or triangulation needs.
            dim: dimensions of the embeddings; None keeps the number.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            on_progress: called with the progress after every batch.
            **recipe: options on top of the preset.

        Returns:
            The number of the projection that is active then.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: files are gone or changed, or an option is invalid.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        from spocdb import reembed as steps
        from spocdb.api.extractors import path_of
        from spocdb.choosing import choose
        from spocdb.features.recipes import channels
        from spocdb.features.selection import Wanted

        engine = self._engine
        wanted = Wanted(
            extractor, path_of("weights", weights), recipe, path_of("codebook", codebook)
        )
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            chosen = choose(connection, wanted, None, engine.settings.cache_dir)
            new, old = chosen.recipe, target.recipe
            if new == old:
                log.info("%s has the extractor %s already: nothing to do", target.name, new.name)
                return target.active_projection_id
            chosen.prove(partial(engine.extractor, device=device, precision=precision))
            extractor_id = collections.add_extractor(connection, new, channels(new))
            log.info("%s: from %s to %s", target.name, old.name, new.name)
            return steps.reembed(
                connection,
                engine.connect,
                replace(target, extractor_id=extractor_id, recipe=new, channels=channels(new)),
                # Rows are read through this connection, because it may hold a lock on them.
                _source_of(connection, target, engine.settings),
                lambda: engine.extractor(new, device, precision),
                engine.settings.limits,
                dim,
                on_progress,
            )


def _source_of(connection: Connection, collection: Collection, settings: Settings) -> "Source":
    from spocdb.sources.opening import opened, terms_of
    from spocdb.sources.rows import RowsSource

    table = attachments.find(connection, collection)
    if table is None:
        return opened([], terms_of(settings))
    limits = settings.limits
    return RowsSource(connection, collection, table, limits, rows_at_once=limits.threads)
