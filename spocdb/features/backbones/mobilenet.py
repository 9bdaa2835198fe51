"""MobileNet v1 (Howard et al. 2017) up to conv5_6, with batch norm folded in."""

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from spocdb.features.cuts import cut_sequence
from spocdb.features.declarations import Backbone

if TYPE_CHECKING:
    from torch import nn

STEM = 32
# Output channels and stride of the separable convolutions, conv2_1 to conv5_6.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
)


def network() -> "nn.Module":
    """Build the network: normalised RGB (N, 3, H, W) -> (N, 1024, H / 32, W / 32)."""
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(3, STEM, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
    channels = STEM
    for out, stride in BLOCKS:
        layers += [
            nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out, 1),
            nn.ReLU(inplace=True),
        ]
        channels = out
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))


BACKBONES = (
    Backbone(
        name="mobilenet_v1",
        layers={"conv5_6": 1024},
        network=network,
        cut=partial(cut_sequence, {"conv5_6": 48}),
    ),
)
