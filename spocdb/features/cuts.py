"""Building and cutting networks: the parts that several families share.

torch is imported only when a network is built.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# All families use the IMAGENET1K_V1 weights. The retrieval literature reports results with these;
# later versions were tuned for classification accuracy.
BY_TORCHVISION = "BSD-3-Clause, as torchvision distributes them; trained on ImageNet"


def torchvision_network(name: str) -> "nn.Module":
    """Build one of torchvision's networks, with random values."""
    # Imported here: torchvision can take longer to import than torch.
    from torchvision.models import get_model

    network: nn.Module = get_model(name, weights=None)
    return network


def cut_sequence(
    ends: Mapping[str, int], network: "nn.Module", layer: str, relu: bool
) -> "dict[str, nn.Module]":
    """Cut a network whose `features` are a sequence; `ends` maps a layer to its index there."""
    from torch import nn

    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    kept = features[: ends[layer] + 1]
    return {"features": nn.Sequential(*kept, *[nn.ReLU(inplace=True)] * relu)}


def cut_before_activation(network: "nn.Module", layer: str, relu: bool) -> "dict[str, nn.Module]":
    """Cut a network whose `features` end with its last activation; keep that if `relu`."""
    from torch import nn

    features = network.get_submodule("features")
    if not relu:
        last = features.get_submodule(str(len(list(features.children())) - 1))
        assert isinstance(last, nn.Sequential)
        last[-1] = nn.Identity()
    return {"features": features}
