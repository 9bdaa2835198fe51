"""What projections learned from labels are worth on classes that they have not seen.

From the repository's root:
    python -m benchmarks.learning LABELS.csv [--column NAME] [--extractor NAME...]
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
from typing import Any

from benchmarks import record
from benchmarks.labelled import by_group
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.evaluate import evaluate
from spocdb.evaluation.methods import PLAIN
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Result
from spocdb.settings import Settings
from spocdb.training import labelling, samples
from spocdb.training.matching import Labelled
from spocdb.training.projecting import train_head, whiten
from spocdb.training.samples import Sample, Split

HALF, N_SPLITS, DIMS = 0.5, 5, (128, 256)
KEY = "label"


def main() -> None:
    """Learn and measure by each extractor, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning")
    parser.add_argument("labels", type=Path, help=".csv with `path` and the classes")
    parser.add_argument("--column", default="label")
    parser.add_argument("--extractor", nargs="+", default=["mini"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-learning-") as name:
        folder = Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                found = labelling.by_column(arguments.labels, arguments.column, db.settings.limits)
                told = [run(db, folder, found, extractor) for extractor in arguments.extractor]
        finally:
            embedded.stop(folder)
    print(f"recorded in {record.write(told, '-learning')}")


def run(db: Database, folder: Path, labelled: Sequence[Sample], extractor: str) -> dict[str, Any]:
    """Learn and measure on each division of the classes; print and return the figures."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(N_SPLITS):
        for result in measure(db, folder, samples.split(labelled, HALF, seed), extractor):
            found[f"{result.embedding} {result.dim}"].append(result.exact)
    figures = [
        {"name": name, "mAP": fmean(values), "spread": stdev(values), "values": values}
        for name, values in found.items()
    ]
    for figure in figures:
        print(f"{extractor:20} {figure['name']:20} {figure['mAP']:.4f} +- {figure['spread']:.4f}")
    return {"extractor": extractor, "splits": N_SPLITS, "embeddings": figures}


def measure(db: Database, folder: Path, split: Split, extractor: str) -> list[Result]:
    """Learn from the one half of the classes, and return the results for the other."""
    db.ingest(
        *(sample.path for sample in split.train),
        collection="learn",
        extractor=extractor,
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
        extractor,
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


if __name__ == "__main__":
    main()
