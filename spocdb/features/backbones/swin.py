"""Swin Transformer (Liu et al. 2021): its tokens are a feature map, there is no class token."""

from functools import partial
from typing import TYPE_CHECKING

from spocdb.features.cuts import BY_TORCHVISION, torchvision_network
from spocdb.features.declarations import Backbone

if TYPE_CHECKING:
    from torch import nn


def cut(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Leave out the average pooling and the classifier; `permute` puts the channels first."""
    from torch import nn

    kept = {name: network.get_submodule(name) for name in ("features", "norm", "permute")}
    return kept | ({"relu": nn.ReLU(inplace=True)} if relu else {})


BACKBONES = (
    Backbone(
        name="swin_t",
        layers={"norm": 768},
        network=partial(torchvision_network, "swin_t"),
        cut=cut,
        url="https://download.pytorch.org/models/swin_t-704ceda3.pth",
        licence=BY_TORCHVISION,
        size=224,
        relu=False,
        sigma=None,
        interpolation="bicubic",
    ),
)
