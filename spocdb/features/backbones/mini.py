"""The network in the box: a plain stack of convolutions after VGG, small enough for the wheel.

As in VGG-C there are 1 x 1 convolutions among the 3 x 3 ones; here each squeezes the channels
before one, as SqueezeNet's do (Iandola et al. 2016). That keeps a 3 x 3 convolution's weights few
while the map keeps its width.
"""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.features.backbones import Backbone
from spocdb.features.cuts import cut_sequence

if TYPE_CHECKING:
    from torch import nn

STEM = 64
# Channels of a 1 x 1 convolution and of the 3 x 3 one behind it; None halves the map.
LAYERS: tuple[tuple[int, int] | None, ...] = (
    None,
    (16, 128),
    (16, 128),
    None,
    (32, 256),
    (32, 256),
    None,
    (48, 384),
    (48, 384),
    (64, 512),
    (64, 384),
)
CHANNELS = 256
WEIGHTS = Path(__file__).parents[1] / "mini.safetensors"


def network() -> "nn.Module":
    """Build the network: normalised RGB (N, 3, H, W) -> (N, 256, H / 16, W / 16), no ReLU last.

    The last layer is linear, as the sum over the positions behind it is: it turns pooled features
    into a descriptor whose values are centred and of like weight.
    """
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(3, STEM, 3, stride=2), nn.ReLU(inplace=True)]
    channels = STEM
    for pair in LAYERS:
        if pair is None:
            layers.append(nn.MaxPool2d(3, stride=2))
            continue
        squeezed, expanded = pair
        layers += [nn.Conv2d(channels, squeezed, 1), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(squeezed, expanded, 3, padding=1), nn.ReLU(inplace=True)]
        channels = expanded
    layers.append(nn.Conv2d(channels, CHANNELS, 1))
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))


BACKBONES = (
    Backbone(
        name="mini",
        layers={"conv10": CHANNELS},
        network=network,
        cut=partial(cut_sequence, {"conv10": 37}),
        packed=WEIGHTS,
        licence="MIT, as spocdb; it began with SqueezeNet 1.1 as torchvision distributes it",
        ceil_mode=True,
        size=256,
        relu=False,
        sigma=0.5,
    ),
)
