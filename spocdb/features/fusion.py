"""A trunk as it computes fastest: each convolution, its bias and its ReLU as one step.

On a CPU a ReLU of its own costs as much as reading and writing the map once more, which for a small
network is a third of its time; oneDNN and cuDNN have it for nothing behind their convolutions.
"""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# A convolution of so many channels sees the picture itself.
RGB = 3


class Geometry(NamedTuple):
    """How a convolution moves over the map."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


# x, weight, bias, how, and whether a ReLU follows.
Convolve = Callable[[Tensor, Tensor, Tensor | None, Geometry, bool], Tensor]
# weight, how, and the shape of the input.
LayOut = Callable[[Tensor, Geometry, torch.Size], Tensor]


class FusedConv(nn.Module):
    """A convolution and perhaps a ReLU; takes any precision, gives the one it was made for."""

    def __init__(
        self, conv: nn.Conv2d, relu: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        # Rounding the picture itself to bfloat16 is most of what that costs in accuracy (measured:
        # the mean 1 - cosine falls from 4e-5 to 2e-5), and this layer hardly any of the time.
        self._within = torch.float32 if conv.in_channels == RGB else dtype
        self._dtype, self._relu = dtype, relu
        assert not isinstance(conv.padding, str)
        self._how = Geometry(conv.stride, conv.padding, conv.dilation, conv.groups)
        self._convolve, self._lay_out = _backend(device)
        weight = conv.weight.detach().to(device, self._within)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = conv.bias if conv.bias is None else conv.bias.detach().to(device, self._within)
        # The last shape of input, and the weight as it is best laid out for that.
        self._laid_out: tuple[torch.Size, Tensor] = torch.Size(), self._weight

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self._within)
        shape, weight = self._laid_out
        if shape != x.shape:
            # Threads may do so at the same time: any layout gives the right result.
            weight = self._lay_out(self._weight, self._how, x.shape)
            self._laid_out = x.shape, weight
        try:
            y = self._convolve(x, weight, self._bias, self._how, self._relu)
        except RuntimeError as error:
            # cuDNN does not have every convolution in one step. Remembered: it searches for long.
            if self._convolve is not _by_cudnn or isinstance(error, torch.OutOfMemoryError):
                raise
            self._convolve = _plainly
            y = _plainly(x, weight, self._bias, self._how, self._relu)
        return y.to(self._dtype)


def fuse_trunk(trunk: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Return a copy of the trunk for inference on a device, its convolutions in `dtype`.

    What is no convolution computes in whatever precision it is given.
    """
    return _fused(trunk, dtype, device)


def _fused(module: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return FusedConv(module, False, dtype, device)
    if type(module) is nn.Sequential:
        return nn.Sequential(*_fused_layers(list(module), dtype, device))
    # A copy of its own that shares all but the children.
    fast = copy.copy(module)
    fast._modules = {
        name: child and _fused(child, dtype, device) for name, child in module._modules.items()
    }
    return fast


def _fused_layers(
    layers: list[nn.Module], dtype: torch.dtype, device: torch.device
) -> Iterator[nn.Module]:
    """Yield layers that follow each other, as few as they become."""
    layer, *rest = layers
    for following in [*rest, nn.Identity()]:
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            layer = fuse_conv_bn_eval(layer, following)
        elif isinstance(layer, nn.Conv2d) and isinstance(following, nn.ReLU):
            layer = FusedConv(layer, True, dtype, device)
        else:
            yield _fused(layer, dtype, device)
            layer = following


def _backend(device: torch.device) -> tuple[Convolve, LayOut]:
    """Return what convolves on a device, and what lays out a weight for it."""
    # AMD's devices go by the same name, and have no cuDNN.
    if device.type == "cuda" and torch.version.cuda:
        return _by_cudnn, _as_it_is
    # Private, so perhaps gone in some version of torch, or not there on some machine.
    if device.type == "cpu" and hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return _by_onednn, _reordered
    return _plainly, _as_it_is


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu: bool) -> Tensor:
    shape, name = (how.padding, how.stride, how.dilation, how.groups), "relu" if relu else "none"
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *shape, name, [], "")
    return y


def _by_cudnn(x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu: bool) -> Tensor:
    if not relu:
        return _plainly(x, weight, bias, how, relu)
    return torch.cudnn_convolution_relu(x, weight, bias, *how)


def _plainly(x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu: bool) -> Tensor:
    y = nn.functional.conv2d(x, weight, bias, *how)
    return y.relu_() if relu else y


def _reordered(weight: Tensor, how: Geometry, shape: torch.Size) -> Tensor:
    geometry = (how.padding, how.stride, how.dilation, how.groups)
    laid_out: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, list(shape))
    return laid_out


def _as_it_is(weight: Tensor, how: Geometry, shape: torch.Size) -> Tensor:
    return weight
