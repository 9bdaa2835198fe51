"""Measures each stage of an ingest alone, then a whole ingest, on this machine.

    files -> read -> decode -> network -> write,    and all of them at once

The ingest runs into a working collection with its own extractor, so that no stored descriptor is
reused. Both are deleted afterwards.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from spocdb.api import Database
from spocdb.bench import stages
from spocdb.bench.pictures import write_photographs
from spocdb.bench.speed import Machine, Speed, Stage
from spocdb.db import scratch, server
from spocdb.errors import ConfigError
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.options import Options as RunOptions
from spocdb.progress import Progress
from spocdb.records import Decoded
from spocdb.sources.files import FilesSource
from spocdb.sources.walking import walk
from spocdb.storing import StoringOptions, store

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor
    from spocdb.features.precision import Precision

log = logging.getLogger(__name__)

COLLECTION = "spocdb-bench"
# Synthetic photographs take disk space, the user's take no extra space.
MOST_MADE, MOST_GIVEN = 512, 10_000
# With fewer batches, the start of an ingest would dominate its rate.
LEAST_BATCHES = 2


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a measurement: as for an ingest, and `seconds` per stage."""

    extractor: str | None = None
    weights: Path | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    precision: "Precision" = "auto"
    seconds: float = 2.0


def measure(db: Database, paths: Sequence[Path], options: Options) -> Speed:
    """Measure with the images under `paths`, or with synthetic photographs without `paths`.

    Each stage takes `options.seconds`, and at least a batch.

    Raises:
        ConfigError: There are no images under `paths`, or none can be read.
        WeightsNotFound: The extractor's weights are missing.
        DatabaseError: The database fails.
    """
    given = list(islice(walk(paths, recursive=True), MOST_GIVEN))
    if paths and not given:
        raise ConfigError(f"there are no images under {', '.join(map(str, paths))}")
    extractor = db.extractor(
        options.extractor, options.weights, options.device, options.precision, **options.recipe
    )
    with tempfile.TemporaryDirectory(prefix="spocdb-bench-") as folder:
        if not given:
            log.info("no images given: measuring with up to %s synthetic photographs", MOST_MADE)
        return _measure(db, given, Path(folder), extractor, options.seconds)


def _measure(
    db: Database, given: Sequence[str], folder: Path, extractor: "Extractor", seconds: float
) -> Speed:
    recipe, limit = extractor.recipe, db.settings.max_pixels
    read, held = stages.reading(
        given or _made(folder, stages.N_HELD), seconds, db.settings.max_bytes
    )
    decode, decoded = stages.decoding(held, recipe, seconds, limit)
    network = stages.computing(extractor, [image.pixels for image in decoded], seconds)
    size = extractor.batch_size
    with (
        db.engine.connection() as connection,
        scratch.opened(connection, COLLECTION, recipe, extractor.dim) as collection,
        db.engine.connect() as writer,
    ):
        write = stages.writes(writer, collection, size, seconds)
        n = max(LEAST_BATCHES * size, round(seconds * min(read, decode, network, write)))
        source = FilesSource(())
        # By their names, because one that cannot be read, as a broken link, is no reason to end.
        refs = source.named(given[:n] or _made(folder, min(n, MOST_MADE)))
        progress = Progress()
        store(
            *(connection, db.engine.connect, collection, source, refs),
            lambda: OnDemand(collection.recipe, lambda: extractor),
            StoringOptions(RunOptions(db.settings.limits)),
            progress,
        )
    return Speed(
        _machine(db, extractor, held, decoded),
        (
            Stage("read", read),
            Stage("decode", decode),
            Stage("network", network),
            Stage("write", write),
        ),
        # Counts new contents only: copies of an image cost almost nothing.
        progress.n_new / max(progress.seconds, 1e-9),
        {str(stage): seconds for stage, seconds in progress.waited.items()},
        progress.n_new,
        progress.n_failed,
    )


def _machine(
    db: Database, extractor: "Extractor", held: Sequence[bytes], decoded: Sequence[Decoded]
) -> Machine:
    import torch

    from spocdb.features.devices import fastest_dtype

    with db.engine.connection() as connection:
        round_trip, commits_wait = stages.round_trip(connection), server.commits_wait(connection)
    return Machine(
        device=str(extractor.device),
        precision=extractor.precision,
        has_bfloat16=fastest_dtype(extractor.device) == torch.bfloat16,
        n_cores=stages.N_THREADS,
        extractor=extractor.recipe.name,
        backbone=extractor.recipe.backbone,
        size=extractor.recipe.size,
        megapixels=mean(image.width * image.height for image in decoded) / 1e6,
        megabytes=mean(map(len, held)) / 1e6,
        round_trip=round_trip,
        synchronous_commit=commits_wait,
    )


def _made(folder: Path, n: int) -> list[str]:
    return list(walk(write_photographs(folder, n), recursive=False))
