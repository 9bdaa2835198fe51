"""How near each stage comes to its limit: `spocdb bench`'s figures over this machine's ceilings."""

from pathlib import Path

import torch

from benchmarks import ceilings
from benchmarks.arithmetic import work_of
from benchmarks.ceilings import Ceilings
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.bench.measure import Options, measure
from spocdb.bench.speed import Speed
from spocdb.features.backbones import build_network
from spocdb.features.recipes import PRESETS
from spocdb.features.weights import PACKED

# How the figures are named, and what their peer is.
LIMIT, CEILING = "limit", "ceiling"


def run(db: Database, folder: Path, seconds: float) -> list[Figure]:
    """Measure the stages of VGG-19 and of `mini`, each beside its ceiling."""
    here = ceilings.measure()
    figures = _capacities(here)
    for preset, weights in (("vgg19", random_vgg19(folder)), ("mini", PACKED)):
        speed = measure(db, [], Options(preset, weights, device="cpu", seconds=seconds))
        figures += [*_shares(db, preset, speed, here)]
    return figures


def random_vgg19(folder: Path) -> Path:
    """Write a VGG-19 with random weights: as quick as the trained one, and no download."""
    file = folder / "random-vgg19.pth"
    torch.manual_seed(0)
    features = build_network("vgg19").get_submodule("features")
    torch.save(features.state_dict(prefix="features."), file)
    return file


def _capacities(here: Ceilings) -> list[Figure]:
    products = [
        Figure(f"matrix products in {dtype}", flops / 1e9, "GFLOP/s", note=f"{here.n_cores} cores")
        for dtype, flops in here.flops.items()
    ]
    resizing = [
        Figure(f"resize to {size}", 1000 * seconds, "ms", note="one core")
        for size, seconds in here.resize.items()
    ]
    return [
        *products,
        Figure("decode of a 1024 x 768 JPEG", 1000 * here.decode, "ms", note="one core"),
        *resizing,
        Figure("memory, copied", here.copied / 1e9, "GB/s", note="read and written"),
    ]


def _shares(db: Database, preset: str, speed: Speed, here: Ceilings) -> list[Figure]:
    """Return each stage's images/s with its ceiling, and the ingest's with what all leave it."""
    rates = {stage.name: stage.per_second for stage in speed.stages}
    precision, flops = speed.machine.precision, work_of(preset).flops
    network = here.flops[precision] / flops
    pixels = here.decode + here.resize[PRESETS[preset].size]
    decode = here.n_cores / pixels
    copied, row_bytes = ceilings.copy_rows(db.connection, PRESETS[preset].channels)
    # The stages share the cores: their times add up.
    ingest = 1 / (1 / rates["network"] + 1 / rates["decode"] + 1 / rates["write"])
    peers = {
        "network": (
            network,
            f"{flops / 1e9:.3g} GFLOP at {here.flops[precision] / 1e9:,.0f} GFLOP/s, {precision}",
        ),
        "decode": (decode, f"{1000 * pixels:.1f} ms on each of {here.n_cores} cores"),
        "write": (copied, f"COPY alone, {row_bytes} bytes a row"),
        "ingest": (ingest, "network, decode and write share the cores"),
    }
    rates |= {"ingest": speed.ingest}  # type: ignore[dict-item]
    figures = [
        Figure(f"{LIMIT}, {preset} {stage}", rates[stage], "images/s", peer, CEILING, note)  # type: ignore[index]
        for stage, (peer, note) in peers.items()
    ]
    slowest = Figure(f"{LIMIT}, {preset}", speed.share(speed.limit), "", note=speed.limit.name)
    return [*figures, slowest]
