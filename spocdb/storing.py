"""Storing: write the new and changed images of a source into a collection.

Each batch is one transaction. After an interruption the next run skips stored images.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from spocdb.db import images, runs
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.pipeline.chunks import chunks
from spocdb.pipeline.options import OnProgress, Options
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.sources.source import Source

if TYPE_CHECKING:
    from spocdb.pipeline.extraction import OnDemand
    from spocdb.sinks import Told

log = logging.getLogger(__name__)

# Images per query for those that are stored unchanged.
REFS_ASKED = 512


@dataclass(frozen=True, slots=True)
class StoringOptions:
    """How to store: how the pipeline runs, and which images it gets.

    `retry_failed` retries images that failed and have not changed. `moves` recognises images whose
    file was moved.
    """

    run: Options
    retry_failed: bool = False
    moves: bool = True

    @property
    def retries(self) -> bool:
        """Return whether images that failed and have not changed are tried again."""
        return self.retry_failed or self.run.strict

    def wanted(
        self,
        connection: Connection,
        collection: Collection,
        refs: Iterable[ImageRef],
        progress: Progress,
    ) -> Iterator[ImageRef]:
        """Yield the images that are to be stored, see `changed`."""
        return changed(
            *(connection, collection, refs, progress),
            retry_failed=self.retries,
            exif=self.run.exif,
        )


class Store(Protocol):
    """Stores the images of an ingest: in this process, see `store`, or on a cluster."""

    def __call__(
        self,
        connection: Connection,
        connect: Callable[[], Connection],
        collection: Collection,
        source: Source,
        refs: Iterable[ImageRef],
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress = ...,
    ) -> None:
        """Store the images that are new or changed."""
        ...


def store(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    source: Source,
    refs: Iterable[ImageRef],
    extractor: "Callable[[], OnDemand]",
    options: StoringOptions,
    progress: Progress,
    on_progress: OnProgress = lambda progress: None,
) -> None:
    """Store the images of a source that are new or changed.

    The run and its status are recorded. If there are none, nothing of the pipeline is loaded, nor
    `extractor` called. Raises the errors of `Ingest`.
    """
    wanted = options.wanted(connection, collection, refs, progress)

    def write_(refs: Iterable[ImageRef], n_apart: int) -> None:
        write(
            *(connection, connect, collection, source, refs, extractor(), options),
            *(progress, on_progress),
            n_apart=n_apart,
        )

    write_recorded(connection, collection, wanted, write_, options, progress, on_progress)


def write_recorded(
    connection: Connection,
    collection: Collection,
    wanted: Iterator[ImageRef],
    write: Callable[[Iterable[ImageRef], int], None],
    options: StoringOptions,
    progress: Progress,
    on_progress: OnProgress,
) -> None:
    """Write the wanted images, and record that as a run of the collection.

    `write` gets the images, and how many of them are decoded apart; without images it is not
    called.
    """
    with recorded(connection, collection, progress, on_progress) as was_killed:
        if was_killed:
            log.warning(
                "an earlier run was killed: images are decoded in a separate process at first"
            )
        if (first := next(wanted, None)) is not None:
            # Images are decoded apart only after a run that was killed.
            write(chain([first], wanted), options.run.most_in_flight if was_killed else 0)


@contextmanager
def recorded(
    connection: Connection, collection: Collection, progress: Progress, on_progress: OnProgress
) -> Iterator[bool]:
    """Record the block as a run, with its status; yield whether an earlier run was killed."""
    progress.began, progress.doing = time.monotonic(), ""
    on_progress(progress)
    was_killed = runs.mark_killed(connection, collection)
    run_id = runs.begin(connection, collection)
    status: runs.Status = "failed"
    try:
        yield was_killed
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        progress.seconds = time.monotonic() - progress.began
        runs.end(connection, run_id, status, progress.as_dict())


def write(
    connection: Connection,
    connect: Callable[[], Connection],
    collection: Collection,
    source: Source,
    refs: Iterable[ImageRef],
    extractor: "OnDemand",
    options: StoringOptions,
    progress: Progress,
    on_progress: OnProgress = lambda progress: None,
    *,
    n_apart: int,
    told: "Told" = lambda ref, error: error,
) -> None:
    """Read these images, describe and write them; the first `n_apart` are decoded apart.

    `told` words the failures.
    """
    from spocdb.db.moves import Moves
    from spocdb.pipeline.caution import Caution
    from spocdb.pipeline.run import run
    from spocdb.sinks import ImagesSink

    caution = Caution(n_apart, runs.lost(connection, collection))
    with connect() as write_connection:
        moves = Moves(source.exists) if options.moves else None
        sink = ImagesSink(connection, write_connection, collection, progress, moves, told)
        run(source, refs, extractor, sink, options.run, progress, on_progress, caution)
    progress.refuse(sink.n_refused)


def changed(
    connection: Connection,
    collection: Collection,
    refs: Iterable[ImageRef],
    progress: Progress,
    *,
    retry_failed: bool,
    exif: bool = False,
    dry_run: bool = False,
) -> Iterator[ImageRef]:
    """Yield the images that are new, changed, or, with `retry_failed`, failed.

    With `exif` also those that are stored without EXIF.
    """
    return chosen(
        refs,
        lambda chunk: images.unchanged(connection, collection, chunk, exif=exif),
        lambda names: None if dry_run else images.forget_failures(connection, collection, names),
        progress,
        retry_failed=retry_failed,
    )


def chosen(
    refs: Iterable[ImageRef],
    unchanged: Callable[[Sequence[ImageRef]], tuple[set[str], set[str]]],
    forget_failures: Callable[[Iterable[str]], None],
    progress: Progress,
    *,
    retry_failed: bool,
) -> Iterator[ImageRef]:
    """Yield the images that are to be stored, and count the others.

    `unchanged` returns the names that are stored in this version, and those that failed in it.
    """
    for chunk in chunks(refs, REFS_ASKED):
        stored, failed = unchanged(chunk)
        forget_failures(stored)
        skipped = stored if retry_failed else stored | failed
        progress.n_seen += len(chunk)
        progress.n_unchanged += len(stored)
        progress.n_failed += len(skipped - stored)
        yield from (ref for ref in chunk if ref.name not in skipped)
