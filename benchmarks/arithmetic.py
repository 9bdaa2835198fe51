"""Upper bounds by arithmetic: the cost of an image, and the most that hardware could do.

From the repository's root: python -m benchmarks.arithmetic
It counts multiply-adds and bytes of the networks, measures this machine's ceilings
(benchmarks/ceilings.py), and prints the resulting images/s. For a GPU it uses published numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import ceilings, record
from benchmarks.ceilings import Ceilings
from spocdb.features.backbones import find, names
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import build_trunk

# An H200: sustained bfloat16 matrix products, memory bandwidth as specified, and PCIe 5.0 x16.
GPU, GPU_FLOPS, GPU_MEMORY, GPU_LINK = "H200", 790e12, 4.8e12, 50e9
SHOWN = ("vgg19", "mini")
BFLOAT16_BYTES, FLOAT32_BYTES = 2, 4


@dataclass(frozen=True, slots=True)
class Work:
    """A network's work for one image.

    `macs` are multiply-adds, `values` the numbers that its layers read and write,
    `pixel_bytes` the bytes of the image.
    """

    macs: int
    values: int
    pixel_bytes: int

    @property
    def flops(self) -> int:
        """Return the operations; a multiply-add is two."""
        return 2 * self.macs


def work_of(preset: str, size: int | None = None) -> Work:
    """Count the work of a preset's network for one image, up to the pooled layer."""
    recipe = make_recipe(preset, "", size=size)
    # On the meta device tensors have only shapes, and nothing is computed.
    with torch.device("meta"):
        trunk = build_trunk(recipe, find(recipe.backbone).network().state_dict())
    counter = FlopCounterMode(display=False)
    with counter, _counting_values(trunk) as values:
        trunk(torch.empty(1, 3, recipe.size, recipe.size, device="meta"))
    return Work(counter.get_total_flops() // 2, sum(values), 3 * recipe.size**2)


@dataclass(frozen=True, slots=True)
class Limit:
    """The ceiling of one part of a machine, and its derivation as text."""

    name: str
    per_second: float
    how: str


@contextmanager
def _counting_values(network: nn.Module) -> Iterator[list[int]]:
    counted: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counted.append(inputs[0].numel() + output.numel())

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    yield counted
    for hook in hooks:
        hook.remove()


def main() -> None:
    """Print the cost of an image, and the resulting limits here and on a GPU."""
    print("an image costs")
    for preset in names():
        work, size = work_of(preset), find(preset).size
        print(
            f"  {preset:18} {size} x {size}  {work.macs / 1e9:8.3f} GMAC {work.flops / 1e9:8.3f} "
            f"GFLOP  {work.pixel_bytes / 1e6:.2f} MB of pixels"
        )
    about = record.machine()
    offers = ", ".join(about["instructions"])
    print(f"\nthis machine: {about['processor']}, {about['cores']} cores, {offers}")
    here = ceilings.measure()
    for preset in SHOWN:
        print(f"\n{preset}, images/s at most")
        for limit in (*limits(preset, here), *gpu_limits(preset)):
            print(f"  {limit.name:26} {limit.per_second:12,.1f}   {limit.how}")


def limits(preset: str, here: Ceilings) -> list[Limit]:
    """Return the limit of each part of this machine."""
    work, size = work_of(preset), find(preset).size
    # As bytes, then as float32; each is read and written.
    moved = 2 * (1 + FLOAT32_BYTES) * work.pixel_bytes
    return [
        *(
            Limit(f"network, {dtype}", *_per_second(work.flops, "FLOP", flops))
            for dtype, flops in here.flops.items()
        ),
        Limit("JPEG decode", *here.by_cores(here.decode)),
        Limit("resize", *here.by_cores(here.resize[size])),
        Limit("memory of the input", *_per_second(moved, "B", here.copied)),
    ]


def gpu_limits(preset: str) -> list[Limit]:
    """Return the limits of a GPU, computed and not measured."""
    work = work_of(preset)
    return [
        Limit(f"{GPU}, network, bfloat16", *_per_second(work.flops, "FLOP", GPU_FLOPS)),
        Limit(f"{GPU}, its memory", *_per_second(BFLOAT16_BYTES * work.values, "B", GPU_MEMORY)),
        Limit(f"{GPU}, host to device", *_per_second(work.pixel_bytes, "B", GPU_LINK)),
    ]


def _per_second(each: float, unit: str, capacity: float) -> tuple[float, str]:
    return capacity / each, f"{_short(each)}{unit} at {_short(capacity)}{unit}/s"


def _short(value: float) -> str:
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} T"


if __name__ == "__main__":
    main()
