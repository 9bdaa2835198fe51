"""Weights in eight bits in a file, a quarter of its size; the network computes in float32.

A convolution's weight is stored as int8 (O, I, k, k) times a `scale` (O,), one for each of its
outputs. All other tensors stay as they are.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

SCALE = ".scale"
LARGEST = 127
# For channels of zeros.
SMALLEST = 1e-30


def pack(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Round a state dict's convolutions to 8 bits, in the layout that `unpack` reads."""
    import torch

    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim != 4:
            packed[name] = tensor
            continue
        scale = tensor.float().abs().amax(dim=(1, 2, 3)).clamp(min=SMALLEST) / LARGEST
        packed[name] = torch.round(tensor / _along(scale)).to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def unpack(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return a state dict in floating point; one that is not packed is returned as it is.

    Raises:
        ConfigError: A scale does not fit its weight.
    """
    import torch

    scales = {
        name + SCALE
        for name, tensor in state.items()
        if tensor.dtype == torch.int8 and name + SCALE in state
    }
    plain: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name + SCALE in scales:
            plain[name] = _unpacked(name, tensor, state[name + SCALE])
        elif name not in scales:
            plain[name] = tensor
    return plain


def _unpacked(name: str, weight: "Tensor", scale: "Tensor") -> "Tensor":
    if weight.ndim != 4 or scale.shape != weight.shape[:1] or not scale.is_floating_point():
        raise ConfigError(f"these weights cannot be used: {name}{SCALE} does not fit {name}")
    return weight.float() * _along(scale)


def _along(scale: "Tensor") -> "Tensor":
    return scale.float().view(-1, 1, 1, 1)
