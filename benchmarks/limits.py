"""How close each stage is to its limit: the figures of `spocdb bench` and the ceilings."""

from pathlib import Path

import torch

from benchmarks import ceilings
from benchmarks.arithmetic import limits
from benchmarks.ceilings import Ceilings
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.bench.measure import Options, measure
from spocdb.bench.speed import Speed
from spocdb.features.backbones import find
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.recipes import channels, make_recipe

# Names of the figures and of their peer.
LIMIT, CEILING, SLOWEST = "limit", "ceiling", "slowest stage"


def run(db: Database, folder: Path, seconds: float) -> list[Figure]:
    """Measure the stages of VGG-19 and of `mini`, each compared with its ceiling."""
    here = ceilings.measure()
    figures: list[Figure] = []
    for preset, weights in (("vgg19", random_vgg19(folder)), ("mini", MINI)):
        speed = measure(db, [], Options(preset, weights, device="cpu", seconds=seconds))
        figures += [*_shares(db, preset, speed, here)]
    return figures


def random_vgg19(folder: Path) -> Path:
    """Write a VGG-19 with random weights, as fast as the trained one and without a download."""
    file = folder / "random-vgg19.pth"
    torch.manual_seed(0)
    features = find("vgg19").network().get_submodule("features")
    torch.save(features.state_dict(prefix="features."), file)
    return file


def _shares(db: Database, preset: str, speed: Speed, here: Ceilings) -> list[Figure]:
    """Return the limits, and the share of them that each stage and the ingest reach."""
    rates: dict[str, float] = {stage.name: stage.per_second for stage in speed.stages}
    fixed = {limit.name: limit for limit in limits(preset, here)}
    network = fixed.pop(f"network, {speed.machine.precision}")
    decode = here.by_cores(here.decode + here.resize[find(preset).size])
    with db.engine.connection() as connection:
        copied, row_bytes = ceilings.copy_rows(connection, channels(make_recipe(preset, "")))
    # The stages share the cores, so their times add up.
    together = 1 / sum(1 / rates[stage] for stage in ("network", "decode", "write"))
    figures = [
        *(
            Figure(f"{LIMIT}, {preset} {x.name}", x.per_second, "images/s", None, CEILING, x.how)
            for x in fixed.values()
        ),
        _share(preset, network.name, rates["network"], network.per_second, network.how),
        _share(preset, "decode and resize", rates["decode"], *decode),
        _share(preset, "COPY", rates["write"], copied, f"{row_bytes:,} bytes a row, COPY alone"),
        _share(preset, "ingest", speed.ingest, together, "the stages share the cores"),
    ]
    slowest = Figure(f"{SLOWEST}, {preset}", speed.share(speed.limit), "", note=speed.limit.name)
    return [*figures, slowest]


def _share(preset: str, stage: str, measured: float, most: float, how: str) -> Figure:
    return Figure(f"{LIMIT}, {preset} {stage}", measured, "images/s", most, CEILING, how)
