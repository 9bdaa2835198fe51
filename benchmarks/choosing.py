"""Choose a network's recipe by cross-validation over three labelled sets and folds of each.

From the repository's root:
    python -m benchmarks.choosing EXTRACTOR [--weights FILE] --holidays DIR --corpus DIR --train DIR
Each candidate's gain over the plain recipe (sum pooling, no prior) is taken in every fold of every
set but the folds that are kept. A candidate is better if its mean gain is larger than the spread
(standard deviation) of its gains; the best of those is chosen, or the plain recipe if there is
none. Only then are the kept folds looked at. PCA is fitted on the photographs of `--train`.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from benchmarks import record
from benchmarks.labelled import KEPT, Labelled, read
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.evaluate import evaluate, train_images
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Result
from spocdb.settings import Settings

DIM = 256
SUM = {"pooling": "sum", "centering": False}
MAX = {"pooling": "max"}
GEM = {"pooling": "gem", "centering": False}
PLAIN = Method("plain", "sum pooling", SUM)
CANDIDATES = (
    PLAIN,
    Method("prior", "sum pooling, the paper's prior", {"pooling": "sum", "centering": True}),
    Method("wide-prior", "sum pooling, a wider prior", {"pooling": "sum", "sigma": 0.5}),
    Method("max", "max pooling", MAX),
    Method("gem-2", "GeM, p = 2", GEM | {"gem_p": 2.0}),
    Method("gem-3", "GeM, p = 3", GEM | {"gem_p": 3.0}),
    Method(
        "gem-2-prior", "GeM, p = 2, a wider prior", {"pooling": "gem", "gem_p": 2.0, "sigma": 0.5}
    ),
    Method("rmac", "maxima of regions, summed", {"pooling": "rmac"}),
    Method("crow", "weights: cross-dimensional", SUM | {"attention": "crow"}),
    Method("plain-shrunk", "sum pooling, whitening shrunk by 0.1", SUM, regularisation=0.1),
    Method("max-shrunk", "max pooling, whitening shrunk by 0.1", MAX, regularisation=0.1),
    Method(
        "gem-2-shrunk",
        "GeM, p = 2, whitening shrunk by 0.1",
        GEM | {"gem_p": 2.0},
        regularisation=0.1,
    ),
    Method("flip", "sum pooling, mirrored", SUM | {"flip": True}),
    Method("gem-2-flip", "GeM, p = 2, mirrored", GEM | {"gem_p": 2.0, "flip": True}),
    Method("max-flip", "max pooling, mirrored", MAX | {"flip": True}),
    Method("large", "sum pooling, at 1.25 of the size", SUM, enlarge=1.25),
    Method("gem-2-large", "GeM, p = 2, at 1.25 of the size", GEM | {"gem_p": 2.0}, enlarge=1.25),
    Method("max-large", "max pooling, at 1.25 of the size", MAX, enlarge=1.25),
    Method("aspect", "sum pooling, aspect kept", SUM | {"fit": "aspect"}, enlarge=(4 / 3) ** 0.5),
    Method(
        "gem-2-aspect",
        "GeM, p = 2, aspect kept",
        GEM | {"gem_p": 2.0, "fit": "aspect"},
        enlarge=(4 / 3) ** 0.5,
    ),
)

# The mean average precision of a method's queries, by set and fold.
Folds = Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class Scored:
    """A method's mean gain, its spread, and its mAP by set, in the folds that choose."""

    method: str
    what: str
    gain: float
    spread: float
    by_set: dict[str, float] = field(hash=False)


def main() -> None:
    """Measure all candidates, choose, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choosing")
    parser.add_argument("extractor")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--holidays", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--folder", type=Path, help="keep the database here, for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-choosing-") as name:
        folder = arguments.folder or Path(name)
        sets = read(arguments.holidays, arguments.corpus, Path(name))
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                options = Options(
                    train_images(db, arguments.train),
                    (DIM,),
                    arguments.extractor,
                    arguments.weights,
                )
                results = measured(db, sets, options)
        finally:
            embedded.stop(folder)
    folds = by_fold(results)
    scored = score(folds)
    best = chosen(scored)
    # The kept folds of the others are never looked at.
    kept = {each.method: kept_folds(folds[each.method]) for each in {scored[0], best}}
    costs = {r.method: r.costs["image"] for _, r in results}
    figures = [
        asdict(each)
        | {"chosen": each is best, "kept": kept.get(each.method), "image_ms": costs[each.method]}
        for each in scored
    ]
    for each in scored:
        mark = "*" if each is best else " "
        sets_ = "  ".join(f"{name} {value:.4f}" for name, value in each.by_set.items())
        print(f"{mark} {each.method:14} {each.gain:+.4f} ({each.spread:.4f})  {sets_}")
    for method, values in kept.items():
        print(f"kept folds, {method}: " + "  ".join(f"{n} {v:.4f}" for n, v in values.items()))
    print(f"recorded in {record.write(figures, f'-choice-{arguments.extractor}')}")


def measured(
    db: Database, sets: Sequence[Labelled], options: Options
) -> list[tuple[Labelled, Result]]:
    """Return the whitened results of all candidates on all sets."""
    return [
        (labelled, result)
        for labelled in sets
        for result in evaluate(db, labelled.benchmark, CANDIDATES, options)
        if (result.embedding, result.fitted_on) == ("whitened", "train")
    ]


def by_fold(results: Sequence[tuple[Labelled, Result]]) -> dict[str, Folds]:
    """Return the mean average precision of each candidate in each fold."""
    values: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for labelled, result in results:
        for answer in result.answers:
            fold = labelled.benchmark.name, labelled.fold(answer.query)
            values[result.method][fold].append(answer.value)
    return {
        method: {fold: fmean(of_fold) for fold, of_fold in folds.items()}
        for method, folds in values.items()
    }


def score(folds: Mapping[str, Folds]) -> list[Scored]:
    """Return the figures of each candidate, the plain recipe first, without the kept folds."""
    plain = folds[PLAIN.name]
    scored = []
    for method in CANDIDATES:
        if method.name not in folds:
            continue  # it could not be measured, which was said
        gains = [v - plain[fold] for fold, v in folds[method.name].items() if fold[1] != KEPT]
        means = _by_set(folds[method.name], lambda fold: fold != KEPT)
        scored.append(Scored(method.name, method.what, fmean(gains), stdev(gains), means))
    return scored


def kept_folds(folds: Folds) -> dict[str, float]:
    """Return a method's mean average precision in the kept fold of each set."""
    return _by_set(folds, lambda fold: fold == KEPT)


def chosen(scored: Sequence[Scored]) -> Scored:
    """Return the candidate with the largest gain beyond its spread, else the plain recipe."""
    plain, *others = scored
    return max([plain, *(s for s in others if s.gain > s.spread)], key=lambda s: s.gain)


def _by_set(folds: Folds, is_wanted: Callable[[int], bool]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for (name, fold), value in folds.items():
        if is_wanted(fold):
            values[name].append(value)
    return {name: fmean(of_set) for name, of_set in values.items()}


if __name__ == "__main__":
    main()
