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
from spocdb.features.declarations import Backbone, Convolution, MaxPool, Packed, Step

if TYPE_CHECKING:
    from torch import nn

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
STEM, CHANNELS = 64, 256
WEIGHTS = Path(__file__).parents[1] / "mini.safetensors"


def steps() -> list[Step]:
    """Return the network: normalised RGB (N, 3, H, W) -> (N, 256, H / 16, W / 16), no final ReLU.

    The last layer is linear and commutes with the sum over the positions: it maps pooled features
    to a descriptor whose values are centred and of similar variance.
    """
    found: list[Step] = [Convolution(3, STEM, kernel=3, stride=2)]
    channels = STEM
    for pair in LAYERS:
        if pair is None:
            found.append(MaxPool(kernel=3, stride=2))
            continue
        squeezed, expanded = pair
        found.append(Convolution(channels, squeezed, kernel=1))
        found.append(Convolution(squeezed, expanded, kernel=3, padding=1))
        channels = expanded
    return [*found, Convolution(channels, CHANNELS, kernel=1)]


def network() -> "nn.Module":
    """Build the network of `steps` in torch, with random weights."""
    from torch import nn

    layers: list[nn.Module] = []
    for step in steps():
        if isinstance(step, MaxPool):
            layers.append(nn.MaxPool2d(*step))
        else:
            layers += [nn.Conv2d(*step), nn.ReLU(inplace=True)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers[:-1])))


BACKBONES = (
    Backbone(
        name="mini",
        layers={"conv10": CHANNELS},
        network=network,
        steps=steps(),
        cut=partial(cut_sequence, {"conv10": 37}),
        packed=Packed("spocdb.features", WEIGHTS.name),
        licence="MIT, as spocdb; it began with SqueezeNet 1.1 as torchvision distributes it",
        ceil_mode=True,
        size=256,
        relu=False,
        sigma=0.5,
    ),
)
