"""VGG (Simonyan & Zisserman 2015), the networks of the SPoC paper."""

from functools import partial

from spocdb.features.cuts import BY_TORCHVISION, cut_sequence, torchvision_network
from spocdb.features.declarations import Backbone


def _vgg(name: str, layer: str, index: int, file: str) -> Backbone:
    return Backbone(
        name=name,
        layers={layer: 512},
        network=partial(torchvision_network, name),
        cut=partial(cut_sequence, {layer: index}),
        url=f"https://download.pytorch.org/models/{file}",
        licence=BY_TORCHVISION,
        ceil_mode=True,
    )


BACKBONES = (
    _vgg("vgg19", "conv5_4", 34, "vgg19-dcbb9e9d.pth"),
    _vgg("vgg16", "conv5_3", 28, "vgg16-397923af.pth"),
)
