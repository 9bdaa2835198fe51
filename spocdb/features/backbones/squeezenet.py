"""SqueezeNet 1.1 (Iandola et al. 2016)."""

from functools import partial
from typing import TYPE_CHECKING

from spocdb.features.cuts import BY_TORCHVISION, torchvision_network
from spocdb.features.declarations import Backbone

if TYPE_CHECKING:
    from torch import nn


def cut(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Leave out the classifier. The last module has two ReLUs, before it concatenates two maps."""
    from torch import nn

    if not relu:
        last = network.get_submodule("features.12")
        last.expand1x1_activation = last.expand3x3_activation = nn.Identity()
    return {"features": network.get_submodule("features")}


BACKBONES = (
    Backbone(
        name="squeezenet1_1",
        layers={"fire9": 512},
        network=partial(torchvision_network, "squeezenet1_1"),
        cut=cut,
        url="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        licence=BY_TORCHVISION,
        ceil_mode=True,
    ),
)
