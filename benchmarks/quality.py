"""Measure every network whose weights are here, and write the tables and the plot of quality.

From the repository's root:
    python -m benchmarks.quality --holidays DIR --corpus DIR --train DIR [--weights NAME=FILE ...]
Each network is measured with its plain and its best recipe on the three sets of labelled.py, and
the figures are recorded. With `--folder DIR` the descriptors are kept there, so that an interrupted
run, or one after `benchmarks.choosing`, does not compute them again. With `--only NAME ...` some
networks are measured, and the others' figures are taken from the newest record.
`python -m benchmarks.networks` makes the tables and the plot alone, from the newest records.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from benchmarks import networks, ranked, record
from benchmarks.candidates import shrinkages
from benchmarks.labelled import Labelled, read
from benchmarks.ranked import Sets, Values
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.benchmark import Benchmark
from spocdb.evaluation.best import best_of
from spocdb.evaluation.evaluate import train_images
from spocdb.evaluation.methods import BEST, Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.plans import plan
from spocdb.features.backbones import find, names
from spocdb.features.extractor import Extractor
from spocdb.features.weights import locate
from spocdb.images.decode import decode
from spocdb.machine import n_cores
from spocdb.records import Recipe
from spocdb.settings import Settings

PLAIN = Method("plain", "as declared")
# Images that are timed, and how often; the least time counts, as other work can only add to it.
N_TIMED, N_ROUNDS = 16, 5


def main() -> None:
    """Measure, record, and write the tables and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality")
    parser.add_argument("--holidays", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument(
        "--only", nargs="+", choices=names(), help="these, beside the newest figures of others"
    )
    parser.add_argument("--folder", type=Path, help="keep the descriptors here, for the next run")
    arguments = parser.parse_args()
    given = {name: Path(file) for name, _, file in (w.partition("=") for w in arguments.weights)}
    # Processor time is measured, and threads that wait for each other would add to it.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="spocdb-quality-") as name:
        folder = arguments.folder or Path(name)
        labelled = read(arguments.holidays, arguments.corpus, Path(name))
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                train = train_images(db, arguments.train)
                sets = ranked.read_sets(labelled, train)
                figures = [
                    {"network": network, "recipe": method.name, "what": method.what}
                    | measure(db, sets, method, Options(None, (), network, given.get(network)))
                    for network in arguments.only or present(given)
                    for method in methods(network)
                ]
                figures += others(arguments.only)
                time_again(db, figures, given, train[:N_TIMED])
        finally:
            embedded.stop(folder)
    print(f"recorded in {record.write(figures, networks.QUALITY)}")
    networks.main()


def present(given: Mapping[str, Path]) -> list[str]:
    """Return the networks whose weights are given or in an installed package."""
    declared = [find(name) for name in names()]
    return [b.name for b in declared if b.name in given or (b.packed and b.packed.find())]


def others(only: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the newest figures of the networks that `--only` leaves out."""
    if only is None or not any(record.RESULTS.glob(f"*{networks.QUALITY}-*.json")):
        return []
    known = record.latest(networks.QUALITY)["figures"]
    return [figure for figure in known if figure["network"] not in only]


def methods(network: str) -> list[Method]:
    """Return the plain recipe, and the best one if that is another."""
    best = best_of(network)
    return [PLAIN] if best is BEST else [PLAIN, best]


def planned(db: Database, method: Method, options: Options) -> Recipe:
    """Return the recipe of a method without a codebook."""
    return plan(db, Benchmark("", {}, {}, ()), method, options).chosen.recipe


def measure(db: Database, sets: Sets, method: Method, options: Options) -> dict[str, Any]:
    """Return a recipe's quality and costs."""
    recipe = planned(db, method, options)
    ((_, raw),) = ranked.describe(db, [method], sets, options)
    train = sets.trained_on(raw)
    usual = shrinkages(train.shape[1])[0]
    shrinkage = usual if method is PLAIN else method.regularisation
    ((_, projection),) = ranked.projections(train, [shrinkage])
    figures = {
        "options": dict(method.recipe),
        "size": recipe.size,
        "shrinkage": shrinkage,
        "sets": {
            each.benchmark.name: summary(
                each, ranked.average_precisions(each, sets, raw, projection)
            )
            for each in sets.labelled
        },
        # Of pgvector's type `vector`.
        "embedding_bytes": 4 * projection.dim + 8,
        "weights_bytes": locate(recipe, db.settings.cache_dir).stat().st_size,
    }
    print(recipe.name, method.name, figures["sets"], flush=True)
    return figures


def summary(labelled: Labelled, values: Values) -> dict[str, float]:
    """Return a set's mean average precision, and the spread of its folds (standard deviation)."""
    folds: dict[int, list[float]] = defaultdict(list)
    for query, value in values.items():
        folds[labelled.fold(query)].append(value)
    return {"mAP": fmean(values.values()), "spread": stdev(map(fmean, folds.values()))}


def time_again(
    db: Database,
    figures: Sequence[dict[str, Any]],
    given: Mapping[str, Path],
    files: Sequence[Path],
) -> None:
    """Set the times of all figures whose networks are here, measured in turns."""
    here = [figure for figure in figures if figure["network"] in present(given)]
    extractors = []
    for figure in here:
        network = figure["network"]
        method = PLAIN if figure["recipe"] == PLAIN.name else best_of(network)
        recipe = planned(db, method, Options(None, (), network, given.get(network)))
        extractors.append(db.engine.extractor(recipe))
    held = [file.read_bytes() for file in files]
    most = db.settings.max_pixels
    # The first round is a warm-up: it chooses kernels and the precision.
    _, *rounds = [[milliseconds(x, held, most) for x in extractors] for _ in range(N_ROUNDS + 1)]
    for index, figure in enumerate(here):
        figure["image_ms"] = min(times[index] for times in rounds)
        figure |= {"cores": n_cores(), "precision": extractors[index].precision}


def milliseconds(extractor: Extractor, held: Sequence[bytes], max_pixels: int) -> float:
    """Return the processor time to decode and describe an image, in milliseconds."""
    recipe, size = extractor.recipe, extractor.batch_size
    how = (recipe.size, recipe.fit, max_pixels, recipe.canvas)
    began = time.process_time()
    pixels = [decode(data, *how).pixels for data in held]
    for batch in range(0, len(pixels), size):
        extractor.extract(pixels[batch : batch + size])
    return 1000 * (time.process_time() - began) / len(held)


if __name__ == "__main__":
    main()
