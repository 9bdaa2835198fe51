"""What loads a backbone's weights and computes its feature maps: torch, or the backbone's own."""

from pathlib import Path

import torch
from torch import nn

from spocdb.features.backbones import backbone_of
from spocdb.features.declarations import Runtime
from spocdb.features.fusion import fuse_trunk
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import load_state_dict
from spocdb.records import Recipe


class Torch:
    """The trunk as torch modules, with convolution, bias and ReLU fused."""

    def load(self, recipe: Recipe, weights: Path) -> nn.Module:
        """Return the network up to the recipe's layer, with the weights of a state dict."""
        return build_trunk(recipe, load_state_dict(weights))

    def engine(self, trunk: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
        """Return the fused trunk."""
        return fuse_trunk(trunk, dtype, device)


def runtime_of(recipe: Recipe) -> Runtime:
    """Return the runtime that a recipe's backbone declares, or torch.

    Raises:
        ConfigError: The backbone is unknown.
    """
    return backbone_of(recipe).runtime or Torch()
