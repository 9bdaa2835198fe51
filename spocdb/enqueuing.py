"""Enqueuing: put the new and changed images of a source into the queue, for workers to read.

    choose the extractor -> list -> skip what is stored -> enqueue, a chunk at a time

No image is read here. Archives go in as a whole, and their workers open them. After an interruption
the same call continues: what is in the queue already stays as it is.
"""

from collections.abc import Callable
from pathlib import Path

from spocdb.choosing import choose, create
from spocdb.db import attachments, collections, queue, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features.selection import Wanted
from spocdb.listings import Listing
from spocdb.pipeline.chunks import chunks
from spocdb.pipeline.options import OnProgress
from spocdb.progress import Progress
from spocdb.records import ImageRef, Recipe
from spocdb.sinks import projecting
from spocdb.sources.source import Given, check_any, check_given
from spocdb.storing import REFS_ASKED, changed


def enqueue(
    connection: Connection,
    name: str,
    source: Given,
    wanted: Wanted,
    cache_dir: Path,
    load: Callable[[Recipe], object],
    on_progress: OnProgress,
    partitions: int | None = None,
) -> Progress:
    """Enqueue the images of a source for the collection `name`; return the counts.

    Images that failed in the same version are not enqueued. Those whose name cannot be stored
    become failures. The embeddings of a new collection are in `partitions` tables.

    Raises:
        ConfigError: Nothing is given to read, there are no images, or the options contradict the
            collection.
        WeightsNotFound: The extractor's weights are not on this machine.
        CollectionNotFound: The collection was dropped meanwhile.
    """
    check_given(source)
    progress = Progress(doing="looking for images", left_out=source.left_out)
    on_progress(progress)
    found = collections.find(connection, name)
    collections.check_partitions(found, partitions)
    # Raises for a path that does not exist, before anything is changed.
    refs = source.refs(Listing(connection, found, progress).knows)
    if found is None:
        check_any(source)
    else:
        attachments.refuse(connection, found)
    chosen = choose(connection, wanted, found, cache_dir)
    collection = found or create(connection, name, chosen, wanted, cache_dir, load, partitions)
    progress.doing = ""
    new = changed(connection, collection, refs, progress, retry_failed=False)
    for chunk in chunks(new, REFS_ASKED):
        _put(connection, collection, chunk, progress)
        on_progress(progress)
    return progress


def _put(
    connection: Connection, collection: Collection, refs: list[ImageRef], progress: Progress
) -> None:
    good = [ref for ref in refs if not ref.problem]
    failures = [(ref, ref.problem) for ref in refs if ref.problem]
    if failures:
        writing.make_staging(connection)
        batch = Batch(failures=failures)
        writing.write(connection, collection, batch, projecting(connection))
        progress.n_failed += len(failures)
    n = queue.enqueue(connection, collection, good)
    progress.n_enqueued += n
    progress.n_waiting += len(good) - n
