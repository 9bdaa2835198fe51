"""Fusion of each convolution, its bias and its activation into one step, for inference.

On a CPU a separate ReLU reads and writes the whole feature map again, a third of a small network's
time. oneDNN applies it within its convolutions at no cost, cuDNN the plain ReLU.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Input channels of the first convolution.
RGB = 3


class Geometry(NamedTuple):
    """A convolution's stride, padding, dilation and groups."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class Activation(NamedTuple):
    """A function of each value: torch's, in place, and oneDNN's name and numbers for it."""

    apply: Callable[[Tensor], Tensor]
    name: str
    numbers: tuple[float, ...] = ()


# The names of an activation in a block: that of its convolution, and this.
OF_A_CONVOLUTION = "_activation"
NONE = Activation(lambda x: x, "none")
RELU = Activation(torch.relu_, "relu")
ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.ReLU: RELU,
    nn.ReLU6: Activation(partial(functional.relu6, inplace=True), "hardtanh", (0.0, 6.0)),
    nn.SiLU: Activation(partial(functional.silu, inplace=True), "swish"),
    nn.Hardswish: Activation(partial(functional.hardswish, inplace=True), "hardswish"),
}

# x, weight, bias, geometry, and the activation that follows.
Convolve = Callable[[Tensor, Tensor, Tensor | None, Geometry, Activation], Tensor]
# weight, geometry, and the shape of the input.
LayOut = Callable[[Tensor, Geometry, torch.Size], Tensor]


class FusedConv(nn.Module):
    """A convolution and its activation; input in any precision, output in `dtype`."""

    def __init__(
        self, conv: nn.Conv2d, activation: Activation, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        # The first convolution stays in float32: rounding the picture to bfloat16 causes half of
        # the loss in accuracy (measured: without it the mean 1 - cosine falls from 4e-5 to 2e-5),
        # and this layer takes little time.
        self._within = torch.float32 if conv.in_channels == RGB else dtype
        self._dtype, self._activation = dtype, activation
        assert not isinstance(conv.padding, str)
        self._how = Geometry(conv.stride, conv.padding, conv.dilation, conv.groups)
        self._convolve, self._lay_out = _backend(device)
        weight = conv.weight.detach().to(device, self._within)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = conv.bias if conv.bias is None else conv.bias.detach().to(device, self._within)
        # The last input shape, and the weight in the layout that suits it.
        self._laid_out: tuple[torch.Size, Tensor] = torch.Size(), self._weight

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self._within)
        shape, weight = self._laid_out
        if shape != x.shape:
            # Needs no lock: a layout made for another shape still gives the right result.
            weight = self._lay_out(self._weight, self._how, x.shape)
            self._laid_out = x.shape, weight
        try:
            y = self._convolve(x, weight, self._bias, self._how, self._activation)
        except RuntimeError as error:
            # cuDNN cannot fuse every convolution. Remember that, because its search takes long.
            if self._convolve is not _by_cudnn or isinstance(error, torch.OutOfMemoryError):
                raise
            self._convolve = _plainly
            y = _plainly(x, weight, self._bias, self._how, self._activation)
        return y.to(self._dtype)


def fuse_trunk(trunk: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Return a copy of the trunk for inference on a device, its convolutions in `dtype`.

    Other layers compute in the precision of their input.
    """
    return _fused(trunk, dtype, device)


def _fused(module: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return FusedConv(module, NONE, dtype, device)
    # A shallow copy: only the children are replaced.
    fast = copy.copy(module)
    if isinstance(module, nn.Sequential):
        layers = _fused_layers(list(module), dtype, device)
        fast._modules = {str(index): layer for index, layer in enumerate(layers)}
    else:
        fast._modules = dict(_fused_children(module._modules, dtype, device))
    return fast


def _fused_children(
    children: dict[str, nn.Module | None], dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[str, nn.Module | None]]:
    """Yield a block's children by name, with activations merged into their convolutions.

    SqueezeNet's blocks have a convolution `squeeze` and its activation `squeeze_activation`.
    """
    for name, child in children.items():
        following = children.get(f"{name}{OF_A_CONVOLUTION}")
        activation = ACTIVATIONS.get(type(following)) if following else None
        convolution = children.get(name.removesuffix(OF_A_CONVOLUTION))
        if isinstance(child, nn.Conv2d) and activation:
            yield name, FusedConv(child, activation, dtype, device)
        elif isinstance(convolution, nn.Conv2d) and type(child) in ACTIVATIONS:
            yield name, nn.Identity()
        else:
            yield name, child and _fused(child, dtype, device)


def _fused_layers(
    layers: list[nn.Module], dtype: torch.dtype, device: torch.device
) -> Iterator[nn.Module]:
    """Yield a sequence's layers, with batch norms and activations merged into convolutions."""
    layer, *rest = layers
    for following in [*rest, nn.Identity()]:
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            layer = fuse_conv_bn_eval(layer, following)
        elif isinstance(layer, nn.Conv2d) and type(following) in ACTIVATIONS:
            layer = FusedConv(layer, ACTIVATIONS[type(following)], dtype, device)
        else:
            yield _fused(layer, dtype, device)
            layer = following


def _backend(device: torch.device) -> tuple[Convolve, LayOut]:
    """Return a device's convolution function and its function that lays out a weight."""
    # AMD's devices are also called "cuda", but have no cuDNN.
    if device.type == "cuda" and torch.version.cuda:
        return _by_cudnn, _as_it_is
    # A private function, which a version of torch or a machine may lack.
    if device.type == "cpu" and hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return _by_onednn, _reordered
    return _plainly, _as_it_is


def _by_onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, activation: Activation
) -> Tensor:
    shape = (how.padding, how.stride, how.dilation, how.groups)
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, *shape, activation.name, list(activation.numbers), ""
    )
    return y


def _by_cudnn(
    x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, activation: Activation
) -> Tensor:
    if activation is not RELU:
        return _plainly(x, weight, bias, how, activation)
    return torch.cudnn_convolution_relu(x, weight, bias, *how)


def _plainly(
    x: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, activation: Activation
) -> Tensor:
    return activation.apply(functional.conv2d(x, weight, bias, *how))


def _reordered(weight: Tensor, how: Geometry, shape: torch.Size) -> Tensor:
    geometry = (how.padding, how.stride, how.dilation, how.groups)
    laid_out: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, list(shape))
    return laid_out


def _as_it_is(weight: Tensor, how: Geometry, shape: torch.Size) -> Tensor:
    return weight
