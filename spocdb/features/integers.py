"""Networks in 8-bit integers on a device: oneDNN's products of integers, or the same in float32.

Both compute the same sums of integers and round them in the same way. A CPU computes in integers if
that is exact there and faster, see `can_use_integers`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.features.devices import on_one_core
from spocdb.features.integer_files import Arrays, Convolution, Pool, Stack

# Values of 8 bits, and the one that stands for zero where values may be negative.
LARGEST, MIDDLE = 255, 128
# A convolution that is tried: channels, side of the map, and how often it is timed.
TRIED_CHANNELS, TRIED_SIDE, TIMES = 64, 24, 5

Layer = Callable[[Tensor], Tensor]

log = logging.getLogger(__name__)


class Rounded(NamedTuple):
    """A convolution of uint8, and what becomes of its result.

    An input x stands for (x - `zero`) * `step`. The output is uint8 in steps of `next_step`, with
    negative values as 0, or float32 if that is None.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor
    stride: int
    padding: int
    step: float
    zero: int
    next_step: float | None


class Integers(nn.Module):
    """A stack on a device: normalised RGB (N, 3, H, W) -> feature map (N, C, h, w), float32.

    `relu` says whether a ReLU follows the last convolution. The tensors are no buffers, because
    oneDNN's layout of weights allows no other memory format.
    """

    def __init__(self, stack: Stack, relu: bool, device: torch.device) -> None:
        super().__init__()
        self.stack, self.relu = stack, relu
        self._step = stack.convolutions[0].step
        by_integers = device.type == "cpu" and can_use_integers()
        convolution = _by_onednn if by_integers else partial(_in_float32, device=device)
        pool = _pool_integers if by_integers else _pool
        rounded = iter(_rounded(stack))
        self._layers: Sequence[Layer] = [
            partial(pool, layer) if isinstance(layer, Pool) else convolution(next(rounded))
            for layer in stack.layers
        ]

    def forward(self, images: Tensor) -> Tensor:
        # Positive numbers are cut off, so half a step more rounds.
        steps = (images / self._step).add_(MIDDLE + 0.5).clamp_(0, LARGEST)
        x = steps.to(torch.uint8).contiguous(memory_format=torch.channels_last)
        for layer in self._layers:
            x = layer(x)
        return x.relu_() if self.relu else x


@cache
def can_use_integers() -> bool:
    """Return whether oneDNN's convolution of integers is exact on this CPU, and faster.

    Takes some milliseconds. A CPU without VNNI may add products in 16 bits, which overflow; one of
    another make may have no such convolution, or one that takes a hundred times as long.
    """
    found = on_one_core(_try_integers)
    if not found:
        log.info("this CPU computes no 8-bit integers faster: int8 runs in float32")
    return found


def _try_integers() -> bool:
    """Compare both ways where sums are largest: of extremes, of one sign and of both."""
    n = TRIED_CHANNELS
    values = torch.full((1, n, TRIED_SIDE, TRIED_SIDE), LARGEST, dtype=torch.uint8)
    values[:, ::3] = 0
    x = values.contiguous(memory_format=torch.channels_last)
    weight = torch.full((n, n, 3, 3), 127, dtype=torch.int8)
    weight[n // 2 :, ::2] = -127
    tried = Rounded(weight, torch.ones(n), torch.zeros(n), 1, 1, 1.0, MIDDLE, None)
    with torch.inference_mode():
        exact = _in_float32(tried, torch.device("cpu"))
        # What a version of torch lacks or a machine cannot do may raise anything.
        try:
            fast = _by_onednn(tried)
            is_exact = torch.allclose(fast(x), exact(x), rtol=1e-6, atol=0)
        except Exception:
            return False
        return is_exact and _seconds(fast, x) < _seconds(exact, x)


def _seconds(layer: Layer, x: Tensor) -> float:
    """Return the least time of several, because another process may have had the core."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        layer(x)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _rounded(stack: Stack) -> Sequence[Rounded]:
    """Return the convolutions of a stack; each gives what the following one takes."""
    convolutions = stack.convolutions
    steps = [each.step for each in convolutions[1:]]
    first = convolutions[0]
    return [
        _of(each, stack.arrays[each.name], MIDDLE if each is first else 0, next_step)
        for each, next_step in zip(convolutions, [*steps, None], strict=True)
    ]


def _of(told: Convolution, arrays: Arrays, zero: int, next_step: float | None) -> Rounded:
    weight, scales, bias = map(torch.from_numpy, arrays)
    return Rounded(weight, scales, bias, told.stride, told.padding, told.step, zero, next_step)


def _by_onednn(r: Rounded) -> Layer:
    """Return a convolution in integers: uint8 -> uint8, or float32 of the last one."""
    geometry = ([r.stride] * 2, [r.padding] * 2, [1, 1], 1)
    zeros = torch.zeros(len(r.bias), dtype=torch.int64)
    weight = torch.ops.onednn.qconv_prepack(r.weight, r.scales, r.step, r.zero, *geometry)
    given = (r.step, r.zero, weight, r.scales, zeros, r.bias, *geometry)
    wanted: tuple[Any, ...]
    if r.next_step is None:
        wanted = (1.0, 0, torch.float32, "none", [], "")
    else:
        wanted = (r.next_step, 0, torch.uint8, "relu", [], "")

    def convolve(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.onednn.qconv2d_pointwise(x, *given, *wanted)
        return y

    return convolve


def _in_float32(r: Rounded, device: torch.device) -> Layer:
    """Return the same convolution in float32, whose sums are exact up to 24 bits.

    The operations have oneDNN's order: another one moves some numbers by a step, and a step in one
    layer moves more of them in the next.
    """
    weight = r.weight.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
    scales, bias = (numbers.to(device)[:, None, None] for numbers in (r.scales, r.bias))
    a_step = None if r.next_step is None else torch.tensor(r.next_step).reciprocal().item()

    def convolve(x: Tensor) -> Tensor:
        sums = functional.conv2d(x.float() - r.zero, weight, None, r.stride, r.padding)
        y = sums.mul_(r.step).mul_(scales).add_(bias)
        if a_step is None:
            return y
        return y.mul_(a_step).round_().clamp_(0, LARGEST).to(torch.uint8)

    return convolve


def _pool_integers(pool: Pool, x: Tensor) -> Tensor:
    y: Tensor = torch.ops.quantized.max_pool2d(
        x, [pool.kernel] * 2, [pool.stride] * 2, [0, 0], [1, 1], pool.ceil_mode
    )
    return y


def _pool(pool: Pool, x: Tensor) -> Tensor:
    # There is no max pooling of integers on most devices.
    of_numbers = functional.max_pool2d(
        x.float(), pool.kernel, pool.stride, ceil_mode=pool.ceil_mode
    )
    return of_numbers.to(x.dtype)
