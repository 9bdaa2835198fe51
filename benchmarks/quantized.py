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
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision import transforms

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
from spocdb.features.network import Network
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import load_state_dict, locate
from spocdb.images.decode import decode
from spocdb.records import Recipe
from spocdb.settings import Settings

Work = Callable[[], object]

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
    there = locate(extractors[0].recipe, db.settings.cache_dir)
    show_speed(extractors, there, train, arguments.turns)


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


def show_speed(
    extractors: Sequence[Extractor], weights: Path, files: Sequence[Path], turns: int
) -> None:
    """Print how fast each way describes photographs, and how far off integers are."""
    full, rounded = extractors
    # As many as a core computes together.
    n = max(1, min(4, 4 * 256**2 // full.recipe.size**2))
    held = [file.read_bytes() for file in [*files][:n]]
    batch = torch.stack(_decoded(held, full.recipe))
    works: dict[str, Work] = {
        "network, float32": partial(_network(full), batch),
        "network, int8": partial(_network(rounded), batch),
        "with decoding, float32": lambda: _network(full)(torch.stack(_decoded(held, full.recipe))),
        "with decoding, int8": lambda: _network(rounded)(torch.stack(_decoded(held, full.recipe))),
        "plain script, float32": _script(full.recipe, weights, held),
    }
    exact, ours = (_network(each)(batch) for each in extractors)
    print(f"cosine of descriptors {(exact * ours).sum(1).min():.4f} or more, of {n}")
    least = dict.fromkeys(works, float("inf"))
    with torch.inference_mode():
        for _ in range(turns):
            for name, work in works.items():
                began = time.thread_time()
                work()
                least[name] = min(least[name], time.thread_time() - began)
    for name, seconds in least.items():
        slowest = least["plain script, float32"] / seconds
        print(f"{name:24} {n / seconds:8.3g} images per second of a core, {slowest:.2f} x script")


def _decoded(held: Sequence[bytes], recipe: Recipe) -> list[Tensor]:
    how = (recipe.size, recipe.fit, 10**9, recipe.canvas)
    return [torch.tensor(decode(data, *how).pixels) for data in held]


def _network(extractor: Extractor) -> Network:
    with extractor.lane() as lane:
        return lane.network


def _script(recipe: Recipe, weights: Path, held: Sequence[bytes]) -> Work:
    """Return a script of the plainest kind: Pillow, torchvision, one image at a time."""
    trunk = build_trunk(recipe, load_state_dict(weights))
    mean, std = ([each / 255 for each in rgb] for rgb in (recipe.mean, recipe.std))
    sides = (recipe.size, recipe.size)
    steps = [transforms.Resize(sides), transforms.ToTensor(), transforms.Normalize(mean, std)]
    transform = transforms.Compose(steps)

    def work() -> None:
        for data in held:
            image = transform(Image.open(BytesIO(data)).convert("RGB"))
            functional.normalize(trunk(image[None]).sum(dim=(2, 3)))

    return work


if __name__ == "__main__":
    main()
