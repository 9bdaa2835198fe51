"""Raw descriptors of several methods in one pass: those that differ only in pooling.

    images -> read, decode -> the trunk, once -> the pooling of each method -> stored

The ingest of each method then finds its raw descriptors in the database.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.api import Database
from spocdb.choosing import Chosen
from spocdb.db import collections
from spocdb.evaluation.options import Options
from spocdb.features.recipes import channels
from spocdb.features.weights import locate, locate_codebook
from spocdb.pipeline import run as pipeline
from spocdb.pipeline.extraction import OnDemand
from spocdb.pipeline.options import Options as RunOptions
from spocdb.progress import Progress
from spocdb.records import Recipe
from spocdb.sinks import PooledSink
from spocdb.sources.files import FilesSource
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)


def groups(chosen: Iterable[Chosen]) -> list[list[Chosen]]:
    """Return the chosen recipes without repetition, those together that differ only in pooling."""
    ordered = sorted(dict.fromkeys(chosen), key=_feature_map)
    return [list(group) for _, group in groupby(ordered, key=_feature_map)]


def describe(
    db: Database, chosen: Sequence[Chosen], files: Sequence[Path], options: Options
) -> Mapping[Recipe, int]:
    """Store the files' raw descriptors by one of `groups`; return the numbers of its extractors.

    A file that cannot be read or decoded is left out.

    Raises:
        ConfigError: The weights are broken, or there is no such device.
        DescriptorError: The network gives descriptors that cannot be used.
        DatabaseError: The database fails.
    """
    recipes = [each.recipe for each in chosen]

    @cache
    def load() -> "Extractor":
        return _load(db, recipes, options)

    source = FilesSource([str(file) for file in files])
    progress = Progress()
    with db.engine.connection() as connection, db.engine.connect() as write_connection:
        for each in chosen:
            each.prove(lambda _: load())
        ids = {r: collections.add_extractor(connection, r, channels(r)) for r in recipes}
        pipeline.run(
            source,
            source.refs(),
            OnDemand(recipes[0], load),
            PooledSink(connection, write_connection, ids),
            RunOptions(db.settings.limits),
            progress,
        )
    log.info(
        "%s: %s, %s through the network once for all of them",
        ", ".join(recipe.name for recipe in recipes),
        counted(progress.n_done, "image"),
        progress.n_new,
    )
    return ids


def _load(db: Database, recipes: Sequence[Recipe], options: Options) -> "Extractor":
    from spocdb.features.extractor import load_extractor

    cache_dir = db.settings.cache_dir
    first, *others = recipes
    codebooks: Mapping[Recipe, Path | None] = {r: locate_codebook(r, cache_dir) for r in recipes}
    return load_extractor(
        first,
        locate(first, cache_dir),
        options.device,
        options.precision,
        codebooks[first],
        {recipe: codebooks[recipe] for recipe in others},
    )


def _feature_map(chosen: Chosen) -> str:
    """Return the fingerprint of the recipe without its pooling."""
    plain = replace(chosen.recipe, pooling="sum", sigma=None, gem_p=None, attention=None)
    return replace(plain, codebook=None, codebook_dim=None).fingerprint
