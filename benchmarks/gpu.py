"""A GPU compared with its limits: network, decoding, copying, and an ingest from files to rows.

From the repository's root: python -m benchmarks.gpu [--images N] [--record]    (or make bench-gpu)
`--device cpu` only tests the script, on few images. Weights are random, which does not affect the
speed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

from benchmarks import record
from benchmarks.arithmetic import work_of
from benchmarks.record import Figure
from spocdb.api import Database, connect
from spocdb.bench.pictures import write_photographs
from spocdb.db import embedded
from spocdb.errors import ConfigError
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.jpegs import decode_on
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import load_state_dict, sha256_of
from spocdb.images.decode import decode, plain_jpeg
from spocdb.machine import n_cores
from spocdb.settings import Settings

PRESETS = ("vgg19", "mini")
MATRIX = 8192
# Enough to show that the script runs without a GPU.
BATCH_OF_A_CPU = 4
# From the fourth batch of a shape on, the network replays a CUDA graph.
N_WARM_UPS = 4
N_PHOTOGRAPHS, MAX_PIXELS = 64, 10**8
COPIED_BYTES = 256 << 20
# A fraction of the GPU's memory so small that the extractor must halve its batches.
LITTLE_MEMORY = 0.02

Seconds = float


def main() -> None:
    """Measure all parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=PRESETS)
    parser.add_argument("--images", type=int, default=20_000, help="to ingest")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu shows that the script runs")
    device = torch.device("cuda", 0) if arguments.device == "cuda" else torch.device("cpu")
    with tempfile.TemporaryDirectory(prefix="spocdb-gpu-") as name:
        folder = Path(name)
        limits = (arguments.images, arguments.seconds)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                _show(_parts(db, device, folder, arguments.presets, *limits), arguments.record)
        finally:
            embedded.stop(folder)


def _show(parts: Iterator[list[Figure]], is_recorded: bool) -> None:
    """Print each part's figures; record them at once, so that a later failure loses none."""
    figures: list[Figure] = []
    for part in parts:
        record.show(part)
        figures += part
        if is_recorded:
            record.write([record.as_dict(figure) for figure in figures], "-gpu")


def _parts(
    db: Database,
    device: torch.device,
    folder: Path,
    presets: Sequence[str],
    n: int,
    seconds: Seconds,
) -> Iterator[list[Figure]]:
    """Yield the figures of each part."""
    (folder / "files").mkdir()
    files = write_photographs(folder / "files", n)
    ceiling = _ceiling(device, seconds)
    yield [Figure("bfloat16 matrix products", ceiling / 1e12, "TFLOP/s", note=_name(device))]
    yield _copying(device, seconds)
    yield _decoding(device, files, seconds)
    for preset in presets:
        weights = MINI if preset == "mini" else _random_vgg19(folder / "vgg19.pth")
        recipe = make_recipe(preset, sha256_of(weights))
        extractor = load_extractor(recipe, weights, str(device))
        alone = _network(extractor, weights, ceiling, seconds)
        yield alone
        yield _ingest(db, preset, weights, device, files, alone[0].value)
    if device.type == "cuda":
        yield [_little_memory(load_extractor(recipe, weights, str(device)))]


def _ceiling(device: torch.device, seconds: Seconds) -> float:
    """Return the FLOP/s of large matrix products in bfloat16."""
    n = MATRIX if device.type == "cuda" else MATRIX // 8
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / _seconds(lambda: a @ b, device, seconds)


def _copying(device: torch.device, seconds: Seconds) -> list[Figure]:
    """Measure the copy to the device, from pinned memory compared with pageable memory."""
    pageable = torch.zeros(COPIED_BYTES, dtype=torch.uint8)
    if device.type != "cuda":
        return []
    pinned = pageable.pin_memory()
    fast, slow = (
        COPIED_BYTES / _seconds(partial(m.to, device, non_blocking=True), device, seconds) / 1e9
        for m in (pinned, pageable)
    )
    return [Figure("copy to the device, pinned", fast, "GB/s", slow, "pageable memory")]


def _decoding(device: torch.device, files: list[Path], seconds: Seconds) -> list[Figure]:
    """Measure decoding 1024 x 768 JPEGs to 586 x 586 on the device, compared with Pillow."""
    recipe = make_recipe("vgg19", "")
    contents = [file.read_bytes() for file in files[:N_PHOTOGRAPHS]]
    jpegs = [jpeg for data in contents if (jpeg := plain_jpeg(data, MAX_PIXELS))]
    there = decode_on(device, jpegs, recipe)
    n_done = sum(pixels is not None for pixels in there)
    rate = n_done / _seconds(lambda: decode_on(device, jpegs, recipe), device, seconds)
    n_threads = n_cores()
    with ThreadPoolExecutor(n_threads) as pool:

        def by_pillow() -> list[object]:
            return list(pool.map(lambda d: decode(d, 586, "warp", MAX_PIXELS), contents))

        pillow = len(contents) / _seconds(by_pillow, torch.device("cpu"), seconds)
    note = f"{n_done} of {len(jpegs)} decoded there"
    return [
        Figure("decode and resize", rate, "images/s", pillow, f"Pillow, {n_threads} threads", note)
    ]


def _network(extractor: Extractor, weights: Path, ceiling: float, seconds: Seconds) -> list[Figure]:
    """Measure the network with pixels on the device, compared with plain torchvision."""
    recipe, device = extractor.recipe, extractor.device
    n = extractor.batch_size if device.type == "cuda" else BATCH_OF_A_CPU
    batch = torch.randint(0, 256, (n, recipe.size, recipe.size, 3), dtype=torch.uint8).to(device)
    with extractor.lane() as lane:
        extractor.extract_in(lane, list(batch[:1]))
        rate = n / _seconds(lambda: lane.extract(batch), device, seconds)
    flops = work_of(recipe.backbone).flops
    figures = [
        Figure(
            f"network alone, {recipe.backbone} at {recipe.size}",
            *(rate, "images/s", ceiling / flops, "the ceiling"),
            note=f"batches of {n}, {extractor.precision}",
        )
    ]
    trunk = build_trunk(recipe, load_state_dict(weights)).to(device)
    for name, peer in _peers(trunk.to(memory_format=torch.channels_last)):
        with suppress(RuntimeError):
            slower = n / _seconds(partial(peer, batch), device, seconds)
            figures.append(Figure(f"  beside {name}", rate, "images/s", slower, name))
    return figures


def _peers(trunk: nn.Module) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """Yield the same network run by other means: uint8 (N, H, W, 3) -> pooled (N, C)."""

    def run(network: Callable[[Tensor], Tensor], dtype: torch.dtype, batch: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(batch.device.type, dtype):
            images = batch.permute(0, 3, 1, 2).float() / 255
            return network(images).float().sum(dim=(2, 3)).cpu()

    yield "torchvision, bfloat16", lambda batch: run(trunk, torch.bfloat16, batch)
    yield "torchvision, float16", lambda batch: run(trunk, torch.float16, batch)
    if next(trunk.parameters()).is_cuda:
        compiled = torch.compile(trunk)
        yield "torch.compile, bfloat16", lambda batch: run(compiled, torch.bfloat16, batch)


def _ingest(
    db: Database, preset: str, weights: Path, device: torch.device, files: list[Path], alone: float
) -> list[Figure]:
    """Measure an ingest from files on disk to committed rows, compared with the network alone."""
    options: dict[str, Any] = {"collection": preset, "extractor": preset, "weights": weights}
    options |= {"device": str(device), "auto_pca": 0}
    # Load the network and record its CUDA graphs.
    n_first = len(files) // 5
    db.ingest(*files[:n_first], **options)
    began = time.perf_counter()
    progress = db.ingest(*files[n_first:], **options)
    rate = progress.n_new / (time.perf_counter() - began)
    note = f"limited by {progress.limited_by}; {progress.n_failed} failed"
    return [
        Figure(
            f"ingest, {preset}, files to rows", rate, "images/s", alone, "the network alone", note
        )
    ]


def _little_memory(extractor: Extractor) -> Figure:
    """Extract a batch that is far too large for the available memory."""
    size = extractor.recipe.size
    torch.cuda.set_per_process_memory_fraction(LITTLE_MEMORY)
    try:
        raw = extractor.extract([np.zeros((size, size, 3), np.uint8)] * 1024)
    except ConfigError:
        raw = np.empty((0, extractor.dim), np.float32)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return Figure("of 1024 images with 2 % of the memory", len(raw), "images")


def _random_vgg19(file: Path) -> Path:
    torch.manual_seed(0)
    torch.save(models.vgg19(weights=None).features.state_dict(prefix="features."), file)
    return file


def _seconds(work: Callable[[], object], device: torch.device, during: Seconds) -> Seconds:
    """Return the mean seconds of one call, repeated `during` seconds after some warm-up calls."""
    for _ in range(N_WARM_UPS if device.type == "cuda" else 1):
        work()
    _wait(device)
    began, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - began < during:
        work()
        _wait(device)
        n += 1
    return (time.perf_counter() - began) / n


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    main()
