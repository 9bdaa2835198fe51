"""The limits before anything is measured: what an image costs, and what hardware could do at most.

From the repository's root: python -m benchmarks.arithmetic
It counts multiply-adds and bytes of the networks, measures what this machine can do at most
(benchmarks/ceilings.py), and prints the images/s that follow; of one GPU it only computes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import ceilings
from benchmarks.ceilings import Ceilings
from spocdb.features.backbones import build_network, build_trunk
from spocdb.features.recipes import PRESETS, make_recipe

# An H200: bfloat16 matrix products as they are sustained, its memory as its maker states it, and
# what comes through PCIe 5.0 x16.
GPU, GPU_FLOPS, GPU_MEMORY, GPU_LINK = "H200", 790e12, 4.8e12, 50e9
SHOWN = ("vgg19", "mini")
BFLOAT16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Work:
    """What a network does with one image.

    `values` are the numbers that its convolutions read and write, `pixel_bytes` the image's.
    """

    macs: int
    values: int
    pixel_bytes: int

    @property
    def flops(self) -> int:
        """Return the operations: a multiply-add is two."""
        return 2 * self.macs


def work_of(preset: str, size: int | None = None) -> Work:
    """Count what a preset's network does with one image, up to the layer that is pooled."""
    recipe = make_recipe(preset, "", size=size)
    # On the meta device nothing is computed, and weights have only their shapes.
    with torch.device("meta"):
        trunk = build_trunk(recipe, build_network(recipe.backbone).state_dict())
    with _counting(trunk) as counted:
        trunk(torch.empty(1, 3, recipe.size, recipe.size, device="meta"))
    return Work(counted["macs"], counted["values"], 3 * recipe.size**2)


@contextmanager
def _counting(network: nn.Module) -> Iterator[dict[str, int]]:
    counted = {"macs": 0, "values": 0}

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight: Any = layer.weight
        # Each output value is one filter's sum over its window.
        counted["macs"] += output.numel() * weight[0].numel()
        counted["values"] += inputs[0].numel() + output.numel()

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    yield counted
    for hook in hooks:
        hook.remove()


def main() -> None:
    """Print what an image costs, and the limits that follow here and on a GPU."""
    print("an image costs")
    for preset in PRESETS:
        work, size = work_of(preset), PRESETS[preset].size
        print(
            f"  {preset:14} {size} x {size}  {work.macs / 1e9:8.3f} GMAC {work.flops / 1e9:8.3f} "
            f"GFLOP  {work.pixel_bytes / 1e6:.2f} MB of pixels"
        )
    here = ceilings.measure()
    print(f"\nthis machine, measured\n{_as_lines(here)}")
    for preset in SHOWN:
        print(f"\n{preset}, images/s at most")
        for name, rate in (*limits(preset, here).items(), *gpu_limits(preset).items()):
            print(f"  {name:34} {rate:12,.1f}")


def limits(preset: str, here: Ceilings) -> dict[str, float]:
    """Return the images/s that each part of this machine allows at most."""
    work, size = work_of(preset), PRESETS[preset].size
    return {
        f"network in {here.fastest}": here.flops[here.fastest] / work.flops,
        "network in float32": here.flops["float32"] / work.flops,
        "decode and resize, all cores": here.n_cores / (here.decode + here.resize[size]),
        # Once as bytes, once as float32, each read and written.
        "memory, to the network's input": here.copied / (2 * 5 * work.pixel_bytes),
    }


def gpu_limits(preset: str) -> dict[str, float]:
    """Return what a GPU allows at most, computed and not measured."""
    work = work_of(preset)
    return {
        f"{GPU}, network in bfloat16": GPU_FLOPS / work.flops,
        f"{GPU}, its memory": GPU_MEMORY / (BFLOAT16_BYTES * work.values),
        f"{GPU}, host to device": GPU_LINK / work.pixel_bytes,
    }


def _as_lines(here: Ceilings) -> str:
    rates = [f"  matrix products in {t}: {f / 1e9:,.0f} GFLOP/s" for t, f in here.flops.items()]
    resize = [f"  resize to {s}: {1000 * t:.1f} ms a core" for s, t in here.resize.items()]
    decode = f"  decode of 1024 x 768: {1000 * here.decode:.1f} ms a core, {here.n_cores} cores"
    return "\n".join([*rates, decode, *resize, f"  memory: {here.copied / 1e9:.1f} GB/s copied"])


if __name__ == "__main__":
    main()
