"""ConvNeXt (Liu et al. 2022)."""

from functools import partial

from spocdb.features.cuts import BY_TORCHVISION, cut_sequence, torchvision_network
from spocdb.features.declarations import Backbone

BACKBONES = (
    Backbone(
        name="convnext_tiny",
        layers={"stage4": 768},
        network=partial(torchvision_network, "convnext_tiny"),
        cut=partial(cut_sequence, {"stage4": 7}),
        url="https://download.pytorch.org/models/convnext_tiny-983f1562.pth",
        licence=BY_TORCHVISION,
        size=224,
        # The last block ends with a sum, which is not rectified.
        relu=False,
        sigma=None,
    ),
)
