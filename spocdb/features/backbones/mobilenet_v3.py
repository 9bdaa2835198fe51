"""MobileNet v3 (Howard et al. 2019)."""

from functools import partial

from spocdb.features.cuts import BY_TORCHVISION, cut_before_activation, torchvision_network
from spocdb.features.declarations import Backbone

BACKBONES = (
    Backbone(
        name="mobilenet_v3_large",
        layers={"head": 960},
        network=partial(torchvision_network, "mobilenet_v3_large"),
        cut=cut_before_activation,
        url="https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth",
        licence=BY_TORCHVISION,
        size=224,
        sigma=None,
    ),
)
