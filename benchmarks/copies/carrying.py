"""Whether a precision that was chosen on some photographs holds for others.

From the repository's root:
    python -m benchmarks.copies.carrying DIR [--images N] [--originals M] [--splits S]
DIR holds photographs that are all different; M of the N have changed copies that are still the same
picture. They are divided into two halves at random, S times: a distance is chosen on one half and
measured on the other. Nothing is recorded.

`point` is the largest distance that happened to have the precision; `careful` adds one picture
whose copies are all wrong, as `spocdb duplicates calibrate` does. Wrong are pairs of a copy and
another photograph, which is how `calibrate` counts, or any two pictures of different photographs,
which is how the tables of this package count.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.copies.changes import GROUPED, SAME
from benchmarks.copies.halves import BoolArray, Half, write
from benchmarks.copies.pairs import PRECISION
from benchmarks.copies.stored import Spocdb
from spocdb import thresholds
from spocdb.api import connect
from spocdb.db import embedded
from spocdb.evaluation.benchmark import find_images
from spocdb.records import Float32Array, Float64Array
from spocdb.settings import Settings

EXTRACTOR = "mini"

# The distances of right and of wrong pairs.
Pairs = tuple[Float64Array, Float64Array]


@dataclass(frozen=True, slots=True)
class Carried:
    """The precision and recall that a distance has on the half that chose it, and on the other."""

    predicted: float
    measured: float
    recall: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies.carrying")
    parser.add_argument("folder", type=Path, metavar="DIR", help="photographs")
    parser.add_argument("--images", type=int, default=1000, help="how many of them")
    parser.add_argument("--originals", type=int, default=300, help="how many are copied")
    parser.add_argument("--splits", type=int, default=40, help="how often they are divided")
    arguments = parser.parse_args()
    photographs = [*find_images(arguments.folder).values()][: arguments.images]
    with tempfile.TemporaryDirectory(prefix="spocdb-carrying-") as name:
        scratch = Path(name)
        whole = write(scratch / GROUPED / "0", photographs, arguments.originals, SAME, 0)
        try:
            with connect(settings=Settings(None, scratch, scratch / "cache")) as db:
                compared = Spocdb(db, EXTRACTOR, is_whitened=False).compare(whole, whole)
        finally:
            embedded.stop(scratch)
        print(table(carried(whole, compared.distances, arguments.splits)))


def carried(
    whole: Half, distances: Float32Array, n_splits: int
) -> Mapping[tuple[str, str], Sequence[Carried]]:
    """Return what each way to choose a distance (of n, n) carries over, half by half."""
    margin = len({shown.change for shown in whole.files}) - 1
    found: dict[tuple[str, str], list[Carried]] = {}
    for halves in _divided(whole, n_splits):
        for counting in ("copies with photographs", "all pairs"):
            both = [_pairs(whole, distances, half, counting) for half in halves]
            for name, added in (("point", 0), ("careful", margin)):
                for chosen, other in (both, both[::-1]):
                    most = thresholds.threshold(*chosen, PRECISION, copies=1, margin=added)
                    if most is not None:
                        found.setdefault((counting, name), []).append(_at(chosen, other, most))
    return found


def table(found: Mapping[tuple[str, str], Sequence[Carried]]) -> str:
    """Return a table in Markdown."""
    head = "| wrong are | distance | predicted | measured, mean | least | within 0.02 | recall |"
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for (counting, name), some in found.items():
        predicted, measured, recall = (
            np.array([getattr(one, part) for one in some])
            for part in ("predicted", "measured", "recall")
        )
        within = int((measured >= predicted - 0.02).sum())
        lines.append(
            f"| {counting} | {name} | {predicted.mean():.3f} | {measured.mean():.3f} | "
            f"{measured.min():.3f} | {within} of {len(some)} | {recall.mean():.3f} |"
        )
    return "\n".join(lines)


def _divided(whole: Half, n: int) -> Iterator[list[BoolArray]]:
    """Yield which files (n,) are in each half; a photograph and its copies are in one."""
    shown = np.array([file.photograph for file in whole.files])
    copied = np.unique(shown[[bool(file.change) for file in whole.files]])
    others = np.setdiff1d(shown, copied)
    for seed in range(n):
        rng = np.random.default_rng(seed)
        first = [rng.permutation(some)[: len(some) // 2] for some in (copied, others)]
        is_first: BoolArray = np.isin(shown, np.concatenate(first))
        yield [is_first, ~is_first]


def _pairs(whole: Half, distances: Float32Array, half: BoolArray, counting: str) -> Pairs:
    """Return the distances of the right and of the wrong pairs of a half."""
    shown = np.array([file.photograph for file in whole.files])[half]
    is_copy = np.array([bool(file.change) for file in whole.files])[half]
    near = distances[np.ix_(half, half)]
    same, beside = shown[:, None] == shown, is_copy[:, None] & ~is_copy
    wrong = ~same & (beside if counting != "all pairs" else np.triu(np.ones_like(same), 1))
    return near[same & beside].astype(float), near[wrong].astype(float)


def _at(chosen: Pairs, other: Pairs, most: float) -> Carried:
    recall = float((other[0] <= most).mean())
    return Carried(_precision(chosen, most), _precision(other, most), recall)


def _precision(pairs: Pairs, most: float) -> float:
    n_right, n_wrong = (int((some <= most).sum()) for some in pairs)
    return thresholds.precision(n_right, n_wrong, 1)


if __name__ == "__main__":
    main()
