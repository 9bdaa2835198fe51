"""ResNet (He et al. 2016), with bottlenecks."""

from functools import partial
from typing import TYPE_CHECKING, Any

from spocdb.features.cuts import BY_TORCHVISION, torchvision_network
from spocdb.features.declarations import Backbone

if TYPE_CHECKING:
    from torch import nn


def cut(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Leave out the average pooling and the classifier."""
    from spocdb.features.trunks import BeforeRelu

    if not relu:
        last: Any = network.get_submodule("layer4")
        last[-1] = BeforeRelu(last[-1])
    return {n: child for n, child in network.named_children() if n not in ("avgpool", "fc")}


def _resnet(name: str, file: str) -> Backbone:
    return Backbone(
        name=name,
        layers={"layer4": 2048},
        network=partial(torchvision_network, name),
        cut=cut,
        url=f"https://download.pytorch.org/models/{file}",
        licence=BY_TORCHVISION,
    )


BACKBONES = (
    _resnet("resnet50", "resnet50-0676ba61.pth"),
    _resnet("resnet101", "resnet101-63fe2227.pth"),
)
