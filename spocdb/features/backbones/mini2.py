"""The packaged network's second edition: EfficientNet-Lite0 with a linear last layer.

The last layer maps Lite0's 1,280 channels to a descriptor. It is linear and commutes with the sum
over the positions, as that of `mini` does.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.features.backbones import efficientnet_lite as lite
from spocdb.features.declarations import Backbone, Packed

if TYPE_CHECKING:
    from torch import nn

CHANNELS = 256
LAST = "_embedding"
WEIGHTS = Path(__file__).parents[1] / "mini2.safetensors"


def network() -> "nn.Module":
    """Build the network: normalised RGB (N, 3, H, W) -> (N, 256, H / 32, W / 32), no final ReLU."""
    from torch import nn

    whole = lite.network(1.0, 1.0)
    whole.add_module(LAST, nn.Conv2d(lite.HEAD, CHANNELS, 1))
    return whole


def cut(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Keep the whole network, with a ReLU behind it if asked to."""
    from torch import nn

    return dict(network.named_children()) | ({"_relu": nn.ReLU()} if relu else {})


BACKBONES = (
    Backbone(
        name="mini2",
        layers={"embedding": CHANNELS},
        network=network,
        cut=cut,
        packed=Packed("spocdb.features", WEIGHTS.name),
        licence="Apache-2.0; it began with EfficientNet-Lite0 as Google distributes it",
        size=192,
        relu=False,
        sigma=None,
        mean=lite.MEAN,
        std=lite.STD,
        bfloat16=False,
    ),
)
