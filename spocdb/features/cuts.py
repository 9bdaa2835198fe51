"""How networks are built and cut, where several families do it alike.

No torch is imported before a network is built.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# Of several versions of a network's weights the families take IMAGENET1K_V1: later ones were tuned
# for classification accuracy, and retrieval results in the literature are with this one.
BY_TORCHVISION = "BSD-3-Clause, as torchvision distributes them; trained on ImageNet"


def torchvision_network(name: str) -> "nn.Module":
    """Build one of torchvision's networks, with random values."""
    # It takes longer to import than torch itself on a slow machine.
    from torchvision.models import get_model

    network: nn.Module = get_model(name, weights=None)
    return network


def cut_sequence(
    ends: Mapping[str, int], network: "nn.Module", layer: str, relu: bool
) -> "dict[str, nn.Module]":
    """Cut a network whose `features` follow each other; `ends` has the index of each layer."""
    from torch import nn

    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    kept = features[: ends[layer] + 1]
    return {"features": nn.Sequential(*kept, *[nn.ReLU(inplace=True)] * relu)}
