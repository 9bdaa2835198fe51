"""A recipe's network up to the recipe's layer, with its weights.

Does not use torch.fx: its tracing patches all modules of the process, even those that another
thread is running.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.features.backbones import find
from spocdb.records import Recipe

if TYPE_CHECKING:
    from torchvision.models.resnet import Bottleneck


class Trunk(nn.Module):
    """A network up to one layer: normalised RGB (N, 3, H, W) -> feature map (N, C, h, w)."""

    def __init__(self, layers: "OrderedDict[str, nn.Module]") -> None:
        super().__init__()
        # Keeps torchvision's names, because the weights files use them.
        self.layers = nn.Sequential(layers)

    def forward(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.layers(images)
        return feature_map


class Residual(nn.Sequential):
    """Layers whose result is added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self:
            y = layer(y)
        return x + y


class PadLikeTensorFlow(nn.Module):
    """Zeros around a feature map, so that a convolution with a stride gives ceil(side / stride).

    Where their number is odd, TensorFlow ("SAME") puts one more below and on the right.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = map(self._sides, x.shape[2:])
        return functional.pad(x, (left, right, top, bottom))

    def _sides(self, side: int) -> tuple[int, int]:
        steps = -(-side // self._stride) - 1
        total = max(0, steps * self._stride + self._kernel - side)
        return total // 2, total - total // 2


class BeforeRelu(nn.Module):
    """A residual block up to its sum, without the final ReLU."""

    def __init__(self, block: "Bottleneck") -> None:
        super().__init__()
        # Keeps the block's names, because the weights files use them.
        for name, module in block.named_children():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        b: Any = self
        inner = b.relu(b.bn2(b.conv2(b.relu(b.bn1(b.conv1(x))))))
        result: Tensor = b.bn3(b.conv3(inner)) + x
        return result


def build_trunk(recipe: Recipe, state_dict: Mapping[str, Tensor]) -> Trunk:
    """Build a recipe's network with the given weights, for inference only.

    Tensors of later layers are ignored.

    Raises:
        ConfigError: A tensor is missing, has another shape or unusable numbers, or this version of
            spocdb does not know the recipe's backbone or layer.
    """
    backbone = find(recipe.backbone)
    backbone.channels(recipe.layer)  # refuses an unknown layer
    # On "meta" no memory is allocated: VGG's classifier alone would take half a gigabyte.
    with torch.device("meta"):
        network = backbone.network()
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = recipe.ceil_mode
    trunk = Trunk(OrderedDict(backbone.cut(network, recipe.layer, recipe.relu)))
    assign(trunk.layers, state_dict, recipe.backbone)
    return trunk.eval().requires_grad_(False)


def assign(module: nn.Module, state_dict: Mapping[str, Tensor], backbone: str) -> None:
    """Put weights into a module; tensors that it does not have are ignored.

    Raises:
        ConfigError: A tensor is missing, has another shape or unusable numbers.
    """
    expected = module.state_dict()
    # Batch norm's counters are for training only, and old files lack them.
    wanted = {key: t for key, t in expected.items() if not key.endswith("batches_tracked")}
    misfits = [
        key for key in wanted if key not in state_dict or state_dict[key].shape != wanted[key].shape
    ]
    if misfits:
        raise ConfigError(
            f"these are no weights of {backbone}: {misfits[0]} is missing or has another shape "
            f"({len(misfits)} of {len(wanted)} tensors do not fit)"
        )
    # Copy, so that the file's other tensors can be freed.
    weights = {
        key: _float32(key, state_dict[key], backbone)
        if tensor.is_floating_point()
        else _index(key, state_dict[key], tensor, backbone)
        for key, tensor in wanted.items()
    }
    module.load_state_dict(weights, assign=True)


def _index(key: str, tensor: Tensor, expected: Tensor, backbone: str) -> Tensor:
    """Return a copy of a table of positions, which some networks keep beside their weights."""
    if tensor.dtype != expected.dtype:
        raise ConfigError(f"these weights of {backbone} cannot be used: {key} is no index")
    return tensor.clone()


def _float32(key: str, tensor: Tensor, backbone: str) -> Tensor:
    """Return a copy in float32; refuse tensors that are not finite, or matrices of zeros."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ConfigError(f"these weights of {backbone} cannot be used: {key} is {kind}")
    copy = tensor.to(torch.float32, copy=True)
    if copy.is_meta:  # shapes only, used to count operations
        return copy
    # A sum is finite only if all numbers are. isfinite(copy) would allocate a large mask.
    if not torch.isfinite(copy.sum(dtype=torch.float64)):
        raise ConfigError(
            f"these weights of {backbone} cannot be used: {key} has numbers that are not finite"
        )
    # Vectors may be all zero: biases, or the means of batch norms.
    if copy.ndim > 1 and not copy.any():
        raise ConfigError(f"these weights of {backbone} cannot be used: {key} is all zero")
    return copy
