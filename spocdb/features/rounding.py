"""Embeddings rounded to few bits, and products of these with a bound of what rounding changed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from spocdb.features.devices import on_one_core
from spocdb.records import Float32Array

# Rows that are multiplied at a time: 4 MB of products, which stay in the processor's cache.
ASKED, TILE = 512, 2048
# int8 has the numbers from -LARGEST to LARGEST; -128 would have no opposite.
LARGEST = 127
# Of int8 the dimensions are filled up with zeros to a multiple.
MULTIPLE = 64
# Relative rounding error of float32: half of the distance between two neighbouring numbers.
ROUNDING = 2.0**-24
# How often a multiplication is timed.
TIMES = 3

# Not public, and a version of torch may lack it; float32 is then what is left.
_multiply_int8: Any = getattr(torch, "_int_mm", None)


@dataclass(frozen=True, slots=True)
class Rounded:
    """Embeddings as `values` (n, N) times `scales` (n,), off by vectors no longer than `errors`."""

    values: Tensor
    scales: Tensor
    errors: Tensor

    def __len__(self) -> int:
        return len(self.scales)

    def __getitem__(self, which: Any) -> "Rounded":
        return Rounded(self.values[which], self.scales[which], self.errors[which])


def rounded(embeddings: Float32Array, dtype: torch.dtype) -> Rounded:
    """Round embeddings (n, N) to int8, each by a scale of its own, or keep them in float32."""
    given = torch.from_numpy(embeddings)
    if dtype == torch.float32:
        return Rounded(given, torch.ones(len(given)), torch.zeros(len(given)))
    scales = given.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    values = (given / scales[:, None]).round().clamp(-LARGEST, LARGEST)
    errors = (given - values * scales[:, None]).norm(dim=1)
    fill = -given.shape[1] % MULTIPLE
    packed = torch.nn.functional.pad(values.to(torch.int8), (0, fill))
    # The error has errors of rounding itself.
    return Rounded(packed, scales, 1.001 * errors + 1e-6)


def joined(parts: Sequence[Rounded]) -> Rounded:
    """Return embeddings of several parts as one."""
    return Rounded(
        torch.cat([part.values for part in parts]),
        torch.cat([part.scales for part in parts]),
        torch.cat([part.errors for part in parts]),
    )


def room(dtype: torch.dtype) -> Tensor:
    """Return memory for the products of ASKED with TILE values."""
    return torch.empty(ASKED * TILE, dtype=torch.int32 if dtype == torch.int8 else dtype)


def multiply(a: Tensor, b: Tensor, room: Tensor) -> Tensor:
    """Return the products (n, m) of values (n, N) and (m, N) in `room`: int32 of int8, or float32.

    New memory for each result would take several times as long as the products.
    """
    products = room[: len(a) * len(b)].view(len(a), len(b))
    (_multiply_int8 if a.dtype == torch.int8 else torch.mm)(a, b.T, out=products)
    return products


def margin(a: Tensor | float, b: Tensor | float, dim: int) -> Any:
    """Return how much a product of rounded vectors of length one may differ from the database's.

    `a` and `b` are the lengths of their errors: by the inequality of Cauchy and Schwarz these
    change the product by at most a + b + a b. Sums of `dim` float32 numbers, here and there, add
    their own error.
    """
    return 1.01 * (a + b + a * b + 2 * dim * ROUNDING) + 1e-5


def reach(asked: Rounded, tile: Rounded, least: float) -> float:
    """Return how large a product of values, times a scale of `asked`, is at least for a near pair.

    Embeddings are near whose product is `least`. Where rounding may have changed the sign, all
    products are large enough.
    """
    slack = margin(float(asked.errors.max()), float(tile.errors.max()), tile.values.shape[1])
    return (least - slack) / float(tile.scales.max()) if least > slack else -float("inf")


def pairs(
    products: Tensor, asked: Rounded, tile: Rounded, least: float, bounds: Tensor
) -> tuple[Tensor, Tensor]:
    """Return which embeddings asked for (k,), and of the tile (k,), have a product of `least`.

    `bounds` (n,) are those of `reach` by the scales of `asked`: few products (n, m) are so large,
    and only these are compared with the margin of each.
    """
    one, other = torch.nonzero(products >= bounds[:, None], as_tuple=True)
    near = products[one, other] * asked.scales[one] * tile.scales[other]
    slack = margin(asked.errors[one], tile.errors[other], tile.values.shape[1])
    is_near = near + slack >= least
    return one[is_near], other[is_near]


@cache
def fastest(dim: int) -> torch.dtype:
    """Return the type that the processor multiplies fastest: int8, or float32.

    Measured with AVX512-VNNI and without AMX, for 256 dimensions: int8 takes a quarter of float32's
    time, bfloat16 would take twice as long as float32.
    """
    if _multiply_int8 is None or not _is_exact(dim):
        return torch.float32
    types = (torch.int8, torch.float32)
    # In the processor's time: others may use the core meanwhile.
    taken = on_one_core(lambda: [_seconds(dim, each) for each in types])
    return types[taken.index(min(taken))]


def _is_exact(dim: int) -> bool:
    """Tell whether products of int8 are exact on this processor.

    Those without instructions for it add pairs of products in 16 bits, which the largest exceed.
    """
    dim += -dim % MULTIPLE
    made = torch.Generator().manual_seed(0)
    numbers = [
        torch.randint(-LARGEST, LARGEST + 1, (n, dim), generator=made) for n in (ASKED, TILE)
    ]
    for values in numbers:
        values[: len(values) // 2] = LARGEST * values[: len(values) // 2].sign()
        values[:2] = torch.tensor([[LARGEST], [-LARGEST]])
    a, b = numbers
    fast = multiply(a.to(torch.int8), b.to(torch.int8), room(torch.int8))
    return bool((fast.double() == a.double() @ b.double().T).all())


def _seconds(dim: int, dtype: torch.dtype) -> float:
    """Return the processor's time for the products of a tile."""
    a, b = (rounded(torch.rand(n, dim).numpy(), dtype).values for n in (ASKED, TILE))
    taken, held = [], room(dtype)
    for _ in range(TIMES):
        began = time.thread_time()
        multiply(a, b, held).amax(1)
        taken.append(time.thread_time() - began)
    return min(taken)
