"""The extractor of each method: the options of its ingest, its codebook and its recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spocdb import codebooks
from spocdb.api import Database
from spocdb.choosing import Chosen, choose
from spocdb.evaluation.benchmark import Benchmark
from spocdb.evaluation.best import best_of
from spocdb.evaluation.methods import BEST, PLAIN, Method
from spocdb.evaluation.options import Options
from spocdb.features.selection import Wanted
from spocdb.recipe_options import OF_THE_MAP


@dataclass(frozen=True, slots=True)
class Plan:
    """A method, the options and the codebook of its ingests, and the recipe that these give."""

    method: Method
    options: dict[str, Any]
    codebook: Path | None
    chosen: Chosen


def plan(db: Database, benchmark: Benchmark, method: Method, options: Options) -> Plan:
    """Plan how a method describes images; its codebook is learned if the cache has none.

    The method `best` becomes that of the network.

    Raises:
        ConfigError: An option is invalid or contradicts the extractor.
        WeightsNotFound: The weights are not on this machine and cannot be downloaded.
        NotEnoughSamples: The images are too few for the codebook.
    """
    if method is BEST:
        method = best_of(db.recipe(options.extractor, options.weights).backbone)
    given, codebook = _given(db, benchmark, method, options)
    wanted = Wanted(options.extractor, options.weights, given, codebook)
    with db.engine.connection() as connection:
        chosen = choose(connection, wanted, None, db.settings.cache_dir)
    return Plan(method, given, codebook, chosen)


def _given(
    db: Database, benchmark: Benchmark, method: Method, options: Options
) -> tuple[dict[str, Any], Path | None]:
    given = {name: value for name, value in options.recipe.items() if value is not None}
    if method is PLAIN:
        return given, options.codebook
    # A named method defines its own pooling, so only the options of the feature map apply.
    local: dict[str, Any] = {n: value for n, value in given.items() if n in OF_THE_MAP}
    recipe: dict[str, Any] = {**local, **method.recipe}
    if method.enlarge != 1:
        base = db.recipe(options.extractor, options.weights, **local)
        # Rounded down, so that the image has no more pixels than the square.
        recipe["size"] = int(base.size * method.enlarge)
    if method.codebook is None:
        return recipe, None
    kind, k = method.codebook
    files = options.train if options.train is not None else list(benchmark.images.values())
    codebook = codebooks.learn(
        db.extractor(
            options.extractor, options.weights, options.device, options.precision, **local
        ),
        kind,
        k,
        files,
        db.settings,
    )
    return local | {"pooling": kind}, codebook
