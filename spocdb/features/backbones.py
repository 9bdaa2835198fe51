"""torchvision's networks and spocdb's own, cut after the layer that a recipe names.

Cut by hand: torch.fx could do it, but while it traces it patches every module of the process, also
those that another thread runs.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError
from spocdb.features import mini, mobilenet
from spocdb.records import Recipe

if TYPE_CHECKING:
    from torchvision.models.resnet import Bottleneck

# The index, within a network's `features`, of the convolution that a layer is called after.
_PLAIN_LAYERS = {
    ("vgg19", "conv5_4"): 34,
    ("vgg16", "conv5_3"): 28,
    ("mini", "conv10"): 37,
    ("mobilenet_v1", "conv5_6"): 48,
}
_OTHER_LAYERS = {
    ("squeezenet1_1", "fire9"),
    ("resnet50", "layer4"),
    ("resnet101", "layer4"),
}


class Trunk(nn.Module):
    """A network up to one layer: normalised RGB (N, 3, H, W) -> feature map (N, C, h, w)."""

    def __init__(self, layers: "OrderedDict[str, nn.Module]") -> None:
        super().__init__()
        # Under torchvision's names, as the weights files have them.
        self.layers = nn.Sequential(layers)

    def forward(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.layers(images)
        return feature_map


class BeforeRelu(nn.Module):
    """A residual block up to its sum, without the ReLU behind it."""

    def __init__(self, block: "Bottleneck") -> None:
        super().__init__()
        # Under the block's own names, as the weights files have them.
        for name, module in block.named_children():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        b: Any = self
        inner = b.relu(b.bn2(b.conv2(b.relu(b.bn1(b.conv1(x))))))
        result: Tensor = b.bn3(b.conv3(inner)) + x
        return result


def build_trunk(recipe: Recipe, state_dict: Mapping[str, Tensor]) -> Trunk:
    """Build a recipe's network with the given weights, for inference only.

    Tensors of layers behind the cut are ignored. Raises ConfigError if one of the others is missing
    or has another shape, or if the recipe names a layer that is not known here.
    """
    # Without memory or initial values: VGG's classifier alone would take half a gigabyte.
    with torch.device("meta"):
        network = build_network(recipe.backbone)
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = recipe.ceil_mode
    trunk = Trunk(_layers(network, recipe))
    _assign(trunk, state_dict, recipe.backbone)
    if recipe.backbone.startswith("resnet") and not recipe.relu:
        last = trunk.layers.get_submodule("layer4")
        last[-1] = BeforeRelu(last[-1])  # type: ignore[operator, index]
    return trunk.eval().requires_grad_(False)


def build_network(backbone: str) -> nn.Module:
    """Build a whole network by name, with whatever values it begins with."""
    own = {"mini": mini.network, "mobilenet_v1": mobilenet.network}
    if backbone in own:
        return own[backbone]()
    # Not at the top: it takes longer than torch itself on a slow machine.
    from torchvision.models import get_model

    network: nn.Module = get_model(backbone, weights=None)
    return network


def _layers(network: nn.Module, recipe: Recipe) -> "OrderedDict[str, nn.Module]":
    cut = (recipe.backbone, recipe.layer)
    if cut in _PLAIN_LAYERS:
        features = network.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        kept = features[: _PLAIN_LAYERS[cut] + 1]
        return OrderedDict(features=nn.Sequential(*kept, *[nn.ReLU(inplace=True)] * recipe.relu))
    if cut not in _OTHER_LAYERS:
        raise ConfigError(f"unknown layer {recipe.layer} of {recipe.backbone}: upgrade spocdb")
    if recipe.backbone.startswith("resnet"):
        names = [name for name, _ in network.named_children() if name not in ("avgpool", "fc")]
        return OrderedDict((name, network.get_submodule(name)) for name in names)
    if not recipe.relu:
        # SqueezeNet's last module concatenates two maps after their ReLUs.
        last = network.get_submodule("features.12")
        last.expand1x1_activation = last.expand3x3_activation = nn.Identity()
    return OrderedDict(features=network.get_submodule("features"))


def _assign(trunk: Trunk, state_dict: Mapping[str, Tensor], backbone: str) -> None:
    expected = trunk.layers.state_dict()
    # Batch norm's counters matter to training only, and old files lack them.
    wanted = {key: t.shape for key, t in expected.items() if not key.endswith("batches_tracked")}
    misfits = [
        key for key in wanted if key not in state_dict or state_dict[key].shape != wanted[key]
    ]
    if misfits:
        raise ConfigError(
            f"these are no weights of {backbone}: {misfits[0]} is missing or has another shape "
            f"({len(misfits)} of {len(wanted)} tensors do not fit)"
        )
    # Copies, so that a file's other tensors can be freed.
    weights = {key: _float32(key, state_dict[key], backbone) for key in wanted}
    trunk.layers.load_state_dict(weights, assign=True)


def _float32(key: str, tensor: Tensor, backbone: str) -> Tensor:
    """Return a copy in float32; refuse what makes every image NaN, or every image the same."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ConfigError(f"these weights of {backbone} cannot be used: {key} is {kind}")
    copy = tensor.to(torch.float32, copy=True)
    if copy.is_meta:  # shapes without numbers, to count operations
        return copy
    # A sum is finite only if all numbers are; a mask would be as large as the tensor.
    if not torch.isfinite(copy.sum(dtype=torch.float64)):
        raise ConfigError(
            f"these weights of {backbone} cannot be used: {key} has numbers that are not finite"
        )
    # Vectors of zeros are usual: biases, or the means of batch norms.
    if copy.ndim > 1 and not copy.any():
        raise ConfigError(f"these weights of {backbone} cannot be used: {key} is all zero")
    return copy
