"""The packaged network: a plain stack of convolutions like VGG, small enough for the wheel.

Like VGG-C it has 1 x 1 convolutions between the 3 x 3 ones. Each reduces the channels before a
3 x 3 convolution, as in SqueezeNet (Iandola et al. 2016), which saves weights and keeps the map's
number of channels.
"""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.features.cuts import cut_sequence
from spocdb.features.declarations import Backbone, Packed

if TYPE_CHECKING:
    from torch import nn

STEM = 64
# Output channels of a 1 x 1 convolution and of the following 3 x 3 one; None is a max pooling.
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
    """Build the network: normalised RGB (N, 3, H, W) -> (N, 256, H / 16, W / 16), no final ReLU.

    The last layer is linear and commutes with the sum over the positions: it maps pooled features
    to a descriptor whose values are centred and of similar variance.
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
        packed=Packed("spocdb.features", WEIGHTS.name),
        licence="MIT, as spocdb; it began with SqueezeNet 1.1 as torchvision distributes it",
        ceil_mode=True,
        size=256,
        relu=False,
        sigma=0.5,
    ),
)
