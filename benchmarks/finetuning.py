"""The gain of finetuning on held-out classes, measured as by `spocdb eval`.

From the repository's root:
    python -m benchmarks.finetuning LABELS.csv [--column NAME] [--extractor NAME] [--weights FILE]
                                    [--epochs N] [--learning-rate RATE] [--frozen PART]
The file has a column `path` and one of the classes. A part of the classes is held out, and the
network is trained on the others. Then each held-out image is searched among the held-out ones, with
raw descriptors and with a whitened PCA of the training images. The script draws
docs/pictures/finetune.png and writes a record.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.labelled import by_group
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.benchmark import Benchmark
from spocdb.evaluation.evaluate import evaluate
from spocdb.evaluation.methods import PLAIN
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Result
from spocdb.features.selection import Wanted
from spocdb.settings import Settings
from spocdb.training import finetune, labelling, samples
from spocdb.training.plots import draw
from spocdb.training.samples import Sample, Split

DEFAULT = finetune.DEFAULT_SCHEDULE
ROOT = Path(__file__).parents[1]
HELD_OUT, DIMS = 0.2, (128, 256)
MEASURES = ("mAP", "recall@10")


def main() -> None:
    """Measure, train, measure again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetuning")
    parser.add_argument("labels", type=Path, help=".csv with `path` and the classes")
    parser.add_argument("--column", default="label")
    parser.add_argument("--extractor", default="mini")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--epochs", type=int, default=DEFAULT.epochs)
    parser.add_argument("--learning-rate", type=float, default=DEFAULT.learning_rate)
    parser.add_argument("--frozen", type=float, default=0.0)
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "pictures" / "finetune.png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-finetuning-") as name:
        folder = Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                run(db, folder, arguments)
        finally:
            embedded.stop(folder)


def run(db: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """Train and measure in a temporary database."""
    read = partial(labelling.by_column, arguments.labels, arguments.column)
    how_long = {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate}
    schedule = replace(DEFAULT, **how_long)
    split = samples.split(read(db.settings.limits), HELD_OUT, schedule.seed)
    parent = Wanted(arguments.extractor, arguments.weights)
    before = measure(db, split, parent)
    out = folder / "tuned.safetensors"
    how = {"held_out": HELD_OUT, "frozen": arguments.frozen}
    trained = finetune.finetune(db, read, out, parent, schedule, **how)
    after = measure(db, split, Wanted(trained.extractor))
    draw(trained.history, f"{arguments.extractor}, finetuned", arguments.plot)
    for one, other in zip(before, after, strict=True):
        what = f"{one.embedding} {one.dim} {one.measure}"
        print(f"{what:24} {one.exact:.4f} -> {other.exact:.4f} ({other.exact - one.exact:+.4f})")
    told = {
        "before": [_figure(r) for r in before],
        "after": [_figure(r) for r in after],
        "parentage": dict(trained.parentage),
        "history": [asdict(epoch) for epoch in trained.history],
    }
    print(f"recorded in {record.write([told], '-finetuning')}")


def measure(db: Database, split: Split, extractor: Wanted) -> list[Result]:
    """Return the results for the held-out classes; PCA is fitted on the training images."""
    options = Options(
        [sample.path for sample in split.train],
        DIMS,
        extractor.name,
        extractor.weights,
        precision="float32",
    )
    return evaluate(db, _benchmark(split.held_out), [PLAIN], options)


def _benchmark(held_out: Sequence[Sample]) -> Benchmark:
    labels = {str(sample.path): sample.label for sample in held_out}
    return by_group("held-out classes", {p: Path(p) for p in labels}, labels, MEASURES)


def _figure(result: Result) -> dict[str, Any]:
    fields = ("embedding", "dim", "fitted_on", "measure", "exact", "by_index")
    return {field: getattr(result, field) for field in fields}


if __name__ == "__main__":
    main()
