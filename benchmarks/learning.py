"""What projections learned from labels are worth on classes that they have not seen.

From the repository's root:
    python -m benchmarks.learning LABELS.csv [--column NAME] [--extractor NAME] [--weights FILE]
The file has a column `path` and one of the classes. Half of the classes are learned from, five
times others, and each image of the other half is searched among that half: by raw descriptors, PCAs
of the same images, discriminative whitening and linear heads. The script writes a record.
"""

import argparse
import csv
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmarks import record
from benchmarks.labelled import by_group
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.evaluate import evaluate
from spocdb.evaluation.methods import PLAIN
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Result
from spocdb.settings import Settings
from spocdb.training import samples
from spocdb.training.matching import Labelled
from spocdb.training.projecting import train_head, whiten
from spocdb.training.samples import Sample, Split

HALF, N_SPLITS, DIMS = 0.5, 5, (128, 256)
KEY = "label"


def main() -> None:
    """Learn and measure on each division of the classes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning")
    parser.add_argument("labels", type=Path, help=".csv with `path` and the classes")
    parser.add_argument("--column", default="label")
    parser.add_argument("--extractor", default="mini")
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="spocdb-learning-") as name:
        folder = Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                labelled = samples.by_column(arguments.labels, arguments.column, db.settings.limits)
                for seed in range(N_SPLITS):
                    split = samples.split(labelled, HALF, seed)
                    for result in measure(db, folder, split, arguments):
                        found[_name(result)].append(result.exact)
        finally:
            embedded.stop(folder)
    figures = [
        {"name": name, "mAP": fmean(values), "spread": stdev(values), "values": values}
        for name, values in found.items()
    ]
    for figure in figures:
        print(f"{figure['name']:28} {figure['mAP']:.4f} +- {figure['spread']:.4f}")
    about = {"extractor": arguments.extractor, "splits": N_SPLITS, "embeddings": figures}
    print(f"recorded in {record.write([about], '-learning')}")


def measure(
    db: Database, folder: Path, split: Split, arguments: argparse.Namespace
) -> list[Result]:
    """Learn from the one half of the classes, and return the results for the other."""
    db.ingest(
        *(sample.path for sample in split.train),
        collection="learn",
        extractor=arguments.extractor,
        weights=arguments.weights,
        metadata=_metadata(folder / "labels.csv", split.train),
        thumbnails=False,
        auto_pca=0,
        precision="float32",
    )
    matches = Labelled(KEY)
    learned = [fit(db, matches, "learn", dim=dim) for fit in (whiten, train_head) for dim in DIMS]
    options = Options(
        [sample.path for sample in split.train],
        DIMS,
        arguments.extractor,
        arguments.weights,
        precision="float32",
        projections=learned,
    )
    labels = {str(sample.path): sample.label for sample in split.held_out}
    others = by_group("other classes", {path: Path(path) for path in labels}, labels)
    results = evaluate(db, others, [PLAIN], options)
    db.drop("learn")
    return [result for result in results if result.fitted_on != "gallery"]


def _metadata(file: Path, labelled: Sequence[Sample]) -> Path:
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", KEY])
        rows.writerows([sample.path, sample.label] for sample in labelled)
    return file


def _name(result: Result) -> str:
    return f"{result.embedding} {result.dim}"


if __name__ == "__main__":
    main()
