"""A network beside the same one in 8-bit integers: quality on three labelled sets, and speed.

From the repository's root:
    python -m benchmarks.quantized EXTRACTOR [--weights FILE] --train DIR \
        [--holidays DIR --corpus DIR] [--turns N]
The network is rounded by the photographs of `--train`, on which PCA is fitted too. Without the
labelled sets only speed is measured, and a network without weights gets random ones. Nothing is
recorded.

The gate: a mean average precision within 0.005 of float32's on each set. Speed is that of the
network on one core, in turns, the least time of each; the work of others can only add to it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch

from benchmarks import ranked
from benchmarks.candidates import shrinkages
from benchmarks.labelled import read
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.errors import WeightsNotFound
from spocdb.evaluation.evaluate import train_images
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.features.backbones import find
from spocdb.features.extractor import Extractor
from spocdb.images.decode import decode
from spocdb.settings import Settings

PLAIN = Method("plain", "as declared")
GATE = 0.005


def main() -> None:
    """Round the network, measure both, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized")
    parser.add_argument("extractor")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--holidays", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--turns", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="spocdb-quantized-") as name:
        folder = Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                _measure(db, arguments, folder)
        finally:
            embedded.stop(folder)


def _measure(db: Database, arguments: argparse.Namespace, folder: Path) -> None:
    weights = _weights(db, arguments, folder)
    file = folder / "rounded.safetensors"
    db.quantize(arguments.train, file, extractor=arguments.extractor, weights=weights)
    names = {arguments.extractor: weights, f"int8:{file}": None}
    train = train_images(db, arguments.train)
    if arguments.holidays and arguments.corpus:
        sets = ranked.read_sets(read(arguments.holidays, arguments.corpus, folder), train)
        show([precisions(db, sets, Options(None, (), *each)) for each in names.items()])
    extractors = [db.extractor(name, given, "cpu", "float32") for name, given in names.items()]
    show_speed(extractors, train, arguments.turns)


def _weights(db: Database, arguments: argparse.Namespace, folder: Path) -> Path | None:
    """Return the weights that were given, None for those of the preset; or random ones."""
    try:
        db.recipe(arguments.extractor, arguments.weights)
    except WeightsNotFound:
        print("random weights")
        file = folder / "random.pth"
        torch.manual_seed(0)
        torch.save(find(arguments.extractor).network().state_dict(), file)
        return file
    given: Path | None = arguments.weights
    return given


def precisions(db: Database, sets: ranked.Sets, options: Options) -> Mapping[str, float]:
    """Return the mean average precision of each set, by the product's default projection."""
    ((_, raw),) = ranked.describe(db, [PLAIN], sets, options)
    described = sets.trained_on(raw)
    usual = shrinkages(described.shape[1])[0]
    ((_, projection),) = ranked.projections(described, [usual])
    return {
        each.benchmark.name: fmean(ranked.average_precisions(each, sets, raw, projection).values())
        for each in sets.labelled
    }


def show(measured: Sequence[Mapping[str, float]]) -> None:
    """Print both precisions on each set, and whether they are within the gate."""
    full, rounded = measured
    for name, value in full.items():
        change = rounded[name] - value
        verdict = "within" if abs(change) <= GATE else "NOT within"
        told = f"float32 {value:.4f}, int8 {rounded[name]:.4f}, {change:+.4f}"
        print(f"{name:12} {told}: {verdict} {GATE}", flush=True)


def show_speed(extractors: Sequence[Extractor], files: Sequence[Path], turns: int) -> None:
    """Print how fast both compute a batch of photographs, and how far off they are."""
    full, rounded = extractors
    recipe = full.recipe
    # As many as a core computes together.
    n = max(1, min(4, 4 * 256**2 // recipe.size**2))
    how = (recipe.size, recipe.fit, 10**9, recipe.canvas)
    pixels = [decode(file.read_bytes(), *how).pixels for file in [*files][:n]]
    works = [_work(each, pixels) for each in (full, rounded)]
    cosines = (works[0]() * works[1]()).sum(1)
    print(f"cosine of descriptors {cosines.min():.4f} or more, of {n}")
    least = [float("inf")] * 2
    for _ in range(turns):
        for index, work in enumerate(works):
            began = time.thread_time()
            work()
            least[index] = min(least[index], time.thread_time() - began)
    rates = [n / seconds for seconds in least]
    told = f"float32 {rates[0]:.3g}, int8 {rates[1]:.3g} images per second of a core"
    print(f"{told}: {rates[1] / rates[0]:.2f} x")


def _work(extractor: Extractor, pixels: Sequence[object]) -> Callable[[], torch.Tensor]:
    batch = torch.stack([torch.tensor(each) for each in pixels])
    with extractor.lane() as lane:
        network = lane.network

    def work() -> torch.Tensor:
        with torch.inference_mode():
            described: torch.Tensor = network(batch)
        return described

    return work


if __name__ == "__main__":
    main()
