"""EfficientNetV2 (Tan & Le 2021)."""

from functools import partial

from spocdb.features.cuts import BY_TORCHVISION, cut_before_activation, torchvision_network
from spocdb.features.declarations import Backbone

BACKBONES = (
    Backbone(
        name="efficientnet_v2_s",
        layers={"head": 1280},
        network=partial(torchvision_network, "efficientnet_v2_s"),
        cut=cut_before_activation,
        url="https://download.pytorch.org/models/efficientnet_v2_s-dd5fe13b.pth",
        licence=BY_TORCHVISION,
        size=384,
        sigma=None,
    ),
)
