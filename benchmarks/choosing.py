"""Choose a network's recipe by cross-validation over three labelled sets and folds of each.

From the repository's root:
    python -m benchmarks.choosing EXTRACTOR [--weights FILE] --holidays DIR --corpus DIR --train DIR
Each candidate's gain over the plain recipe is taken in every fold of every set but the folds that
are kept; all sets count alike. A candidate is better if its mean gain is larger than the spread
(standard deviation) of its gains; the best of those is chosen, or the plain recipe if there is
none. Only then are the kept folds looked at. PCA is fitted on the photographs of `--train`.

The largest of many gains is an overestimate. So the choice itself is validated too: for each fold
of each set a recipe is chosen without this set and without this fold's number, and its gain here
counts.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import candidates, networks, ranked, record
from benchmarks.candidates import PLAIN, VIEWS, Candidate, shrinkages
from benchmarks.labelled import KEPT, read
from benchmarks.ranked import Cell, Folds, Sets
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.evaluate import train_images
from spocdb.evaluation.options import Options
from spocdb.features.backbones import find
from spocdb.settings import Settings


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's mean gain over the plain one, and the spread of its gains."""

    name: str
    gain: float
    spread: float


def main() -> None:
    """Measure all candidates, choose, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choosing")
    parser.add_argument("extractor")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--holidays", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--views", nargs="*", choices=VIEWS, default=[*VIEWS], help="to try")
    parser.add_argument("--folder", type=Path, help="keep the descriptors here, for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-choosing-") as name:
        folder = arguments.folder or Path(name)
        labelled = read(arguments.holidays, arguments.corpus, Path(name))
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                sets = ranked.read_sets(labelled, train_images(db, arguments.train))
                measured = [*measure(db, sets, arguments)]
        finally:
            embedded.stop(folder)
    plain = plain_of(measured)
    told = choice({candidate.name: folds for candidate, folds in measured}, plain.name)
    show(told)
    best = next(candidate for candidate, _ in measured if candidate.name == told["chosen"])
    about = {
        "network": arguments.extractor,
        "views": arguments.views,
        "recipe": dict(best.method.recipe),
        "size": int(find(arguments.extractor).size * best.method.enlarge),
        "shrinkage": best.shrinkage,
    }
    print(f"recorded in {record.write([about | told], f'{networks.CHOICE}-{arguments.extractor}')}")


def measure(
    db: Database, sets: Sets, arguments: argparse.Namespace
) -> Iterator[tuple[Candidate, Folds]]:
    """Yield the candidates with their figures in each fold, the plain one among them."""
    options = Options(None, (), arguments.extractor, arguments.weights)
    methods = candidates.methods(find(arguments.extractor), arguments.views)
    for method, raw in ranked.describe(db, methods, sets, options):
        train = sets.trained_on(raw)
        for shrinkage, projection in ranked.projections(train, shrinkages(train.shape[1])):
            yield Candidate(method, shrinkage), ranked.by_fold(sets, raw, projection)


def plain_of(measured: Sequence[tuple[Candidate, Folds]]) -> Candidate:
    """Return the plain recipe, with raw descriptors if they are as short as embeddings."""
    own = {each.shrinkage: each for each, _ in measured if each.method.name == PLAIN}
    return own.get(None, own[0.0])


def choice(folds: Mapping[str, Folds], plain: str) -> dict[str, Any]:
    """Return the choice among candidates, its validation, and the figures of all of them."""
    cells = [cell for cell in folds[plain] if cell[1] != KEPT]
    scored = score(folds, plain, cells)
    best = chosen(scored, plain)
    gains = validated(folds, plain, cells)
    # The kept folds of the others are never looked at.
    kept = {name: by_set(folds[name], is_kept=True) for name in (plain, best.name)}
    return {
        "chosen": best.name,
        "gain": best.gain,
        "spread": best.spread,
        "validated": {"gain": fmean(gains), "spread": stdev(gains)},
        "plain": plain,
        "kept": kept,
        "candidates": {
            each.name: {"gain": each.gain, "spread": each.spread}
            | by_set(folds[each.name], is_kept=False)
            for each in sorted(scored, key=lambda each: -each.gain)
        },
    }


def score(folds: Mapping[str, Folds], plain: str, cells: Sequence[Cell]) -> list[Scored]:
    """Return each candidate's gain over the plain one in the given folds of sets."""
    gains = {
        name: [values[cell] - folds[plain][cell] for cell in cells]
        for name, values in folds.items()
    }
    return [Scored(name, fmean(each), stdev(each)) for name, each in gains.items()]


def chosen(scored: Sequence[Scored], plain: str) -> Scored:
    """Return the candidate with the largest gain beyond its spread, else the plain one."""
    beyond = [each for each in scored if each.gain > each.spread]
    return max(beyond, key=lambda each: each.gain, default=Scored(plain, 0.0, 0.0))


def validated(folds: Mapping[str, Folds], plain: str, cells: Sequence[Cell]) -> list[float]:
    """Return the gain in each fold of a recipe that other folds of other sets chose."""
    gains = []
    for name, fold in cells:
        others = [cell for cell in cells if cell[0] != name and cell[1] != fold]
        best = chosen(score(folds, plain, others), plain)
        gains.append(folds[best.name][name, fold] - folds[plain][name, fold])
    return gains


def by_set(folds: Folds, *, is_kept: bool) -> dict[str, float]:
    """Return the mean of each set's folds, of the kept one or of the others."""
    values: dict[str, list[float]] = defaultdict(list)
    for (name, fold), value in folds.items():
        if (fold == KEPT) is is_kept:
            values[name].append(value)
    return {name: fmean(of_set) for name, of_set in values.items()}


def show(told: Mapping[str, Any]) -> None:
    """Print the candidates, best first, and what the kept folds say."""
    for name, figures in told["candidates"].items():
        mark = "*" if name == told["chosen"] else " "
        print(f"{mark} {name:32}" + "  ".join(f"{n} {v:+.4f}" for n, v in figures.items()))
    for what, figures in (("validated", told["validated"]), *told["kept"].items()):
        print(f"{what:34}" + "  ".join(f"{n} {v:+.4f}" for n, v in figures.items()))


if __name__ == "__main__":
    main()
