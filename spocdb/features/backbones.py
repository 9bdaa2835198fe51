"""torchvision's networks, cut after the layer that a recipe names."""

from collections.abc import Mapping
from threading import Lock

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor

from spocdb.errors import ConfigError
from spocdb.records import Recipe

# (backbone, layer) -> the node after the layer's ReLU, the node before it.
_CUTS = {
    ("vgg19", "conv5_4"): ("features.35", "features.34"),
    ("vgg16", "conv5_3"): ("features.29", "features.28"),
    ("squeezenet1_1", "fire9"): ("features.12", "features.12"),
    ("resnet50", "layer4"): ("layer4", "layer4.2.add"),
    ("resnet101", "layer4"): ("layer4", "layer4.2.add"),
}


_TRACING = Lock()


class Trunk(nn.Module):
    """A network up to one layer: normalised RGB (N, 3, H, W) -> feature map (N, C, h, w)."""

    def __init__(self, network: nn.Module, node: str) -> None:
        super().__init__()
        # torch.fx patches torch itself while it traces.
        with _TRACING:
            self.layers = create_feature_extractor(
                network, {node: "map"}, suppress_diff_warning=True
            )

    def forward(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.layers(images)["map"]
        return feature_map


def build_trunk(recipe: Recipe, state_dict: Mapping[str, Tensor]) -> Trunk:
    """Build a recipe's network with the given weights, for inference only.

    Tensors of layers behind the cut are ignored. Raises ConfigError if one of the others is missing
    or has another shape, or if the recipe names a layer that is not known here.
    """
    # Without memory or initial values: VGG's classifier alone would take half a gigabyte.
    with torch.device("meta"):
        network = get_model(recipe.backbone, weights=None)
    _set_ceil_mode(network, recipe.ceil_mode)
    if recipe.backbone.startswith("squeezenet") and not recipe.relu:
        _drop_last_relu(network)
    trunk = Trunk(network, _node(recipe))
    _assign(trunk, state_dict, recipe.backbone)
    return trunk.eval().requires_grad_(False)


def _node(recipe: Recipe) -> str:
    try:
        after_relu, before_relu = _CUTS[recipe.backbone, recipe.layer]
    except KeyError:
        raise ConfigError(
            f"unknown layer {recipe.layer} of {recipe.backbone}: upgrade spocdb"
        ) from None
    return after_relu if recipe.relu else before_relu


def _set_ceil_mode(network: nn.Module, ceil_mode: bool) -> None:
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = ceil_mode


def _drop_last_relu(network: nn.Module) -> None:
    # SqueezeNet's last module concatenates two maps after their ReLUs: there is no node between.
    last = network.get_submodule("features.12")
    last.expand1x1_activation = nn.Identity()
    last.expand3x3_activation = nn.Identity()


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
    weights = {key: state_dict[key].to(torch.float32, copy=True) for key in wanted}
    trunk.layers.load_state_dict(weights, assign=True)
