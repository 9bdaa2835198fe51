"""A run: images of a source through an extractor into a sink.

    source -> intake -> network -> sink

Threads prefetch and decode; each lane of the network has its own thread, and so has the writer.
Each batch is one transaction, so that an interruption keeps the written ones.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from spocdb.pipeline.caution import Caution
from spocdb.pipeline.extraction import OnDemand, extract
from spocdb.pipeline.intake import Intake
from spocdb.pipeline.options import OnProgress, Options
from spocdb.pipeline.prefetch import prefetching
from spocdb.pipeline.work import Work
from spocdb.pipeline.writing import Write, Writer
from spocdb.progress import Progress
from spocdb.records import NewDescriptor
from spocdb.sources.source import Ref, Source


class Sink(Protocol[Ref]):
    """The destination of images and their descriptors."""

    def known(self, hashes: set[bytes]) -> set[bytes]:
        """Return the sha256 that have a stored descriptor."""
        ...

    def batch(
        self, works: Sequence[Work[Ref]], descriptors: Mapping[bytes, NewDescriptor]
    ) -> Write:
        """Return a function that writes these images in one transaction.

        It is called in another thread. Each work has an error, or its descriptor is in
        `descriptors` or stored.
        """
        ...

    def cancel(self) -> None:
        """Cancel the running write statement. Called by another thread."""
        ...


def run(
    source: Source,
    refs: Iterable[Ref],
    extractor: OnDemand,
    sink: Sink[Ref],
    options: Options,
    progress: Progress,
    on_progress: OnProgress = lambda progress: None,
    caution: Caution | None = None,
) -> None:
    """Move these images of a source to the sink; count them.

    The network is loaded when the first image needs it. Written batches stay after any error.

    Raises:
        ImageError: An image is bad, if `options.strict`.
    """
    with (
        caution or Caution() as caution,
        prefetching(options.limits) as prefetcher,
        Writer(progress, sink.cancel) as writer,
    ):
        intake: Intake[Ref] = Intake(
            *(extractor.recipe, sink.known, prefetcher, caution),
            defer=extractor.decodes_jpegs,
            exif=options.exif,
            thumbnails=options.thumbnails,
        )
        works = intake.take(source, refs)
        for batch, descriptors in extract(works, extractor, options.batch_size, progress):
            hashes = intake.hand_over(batch)
            # Counted now, so that the progress does not lag; a batch that is lost counts no more.
            _count(progress, batch)
            writer.submit(
                sink.batch(batch, descriptors),
                partial(intake.written, hashes),
                partial(_count, progress, batch, -1),
            )
            on_progress(progress)
            if options.strict:
                _raise_first(batch)
        writer.finish()
        on_progress(progress)


def _count(progress: Progress, works: Iterable[Work[Ref]], times: int = 1) -> None:
    for work in works:
        if work.error:
            progress.n_failed += times * len(work.refs)
        else:
            n_new = int(work.picture is not None)
            progress.n_new += times * n_new
            progress.n_reused += times * (len(work.refs) - n_new)
    progress.seconds = time.monotonic() - progress.began


def _raise_first(works: Iterable[Work[Ref]]) -> None:
    for work in works:
        if work.error:
            raise type(work.error)(f"{work.refs[0].name}: {work.error}")
