"""The models of timm: `timm:NAME`, such as timm:vit_small_patch14_dinov2.

What a model takes is timm's `pretrained_cfg`; its feature map is what `forward_features` gives.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spocdb.features.declarations import Backbone, Family

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spocdb.records import Recipe

PREFIX = "timm"
LAYER = "forward_features"


def look(family: Family, name: str, file: Path | None, size: int | None) -> Backbone:
    """Build a model without memory, and let its shapes say what it gives."""
    from spocdb.features import timm_models

    model = timm_models.named(name.partition(":")[2])
    facts = timm_models.look(model)
    about: Any = model.pretrained_cfg
    return family.made(
        name,
        LAYER,
        facts.channels,
        facts.sizes,
        facts.leading_tokens,
        size=facts.size,
        mean=timm_models.in_bytes(about["mean"]),
        std=timm_models.in_bytes(about["std"]),
        interpolation="bicubic" if about["interpolation"] == "bicubic" else "bilinear",
        licence=about.get("license"),
        fetch=partial(timm_models.fetch, name, about.get("hf_hub_id")),
    )


class Runtime:
    """timm's modules in torch, not fused."""

    def load(self, recipe: "Recipe", weights: Path) -> "nn.Module":
        """Return the model with the weights of a state dict."""
        from spocdb.features import timm_models
        from spocdb.features.weights import load_state_dict

        return timm_models.loaded(recipe, load_state_dict(weights))

    def engine(
        self, trunk: "nn.Module", dtype: "torch.dtype", device: "torch.device"
    ) -> "nn.Module":
        """Return the model on the device; autocast gives the precision."""
        from spocdb.features.foreign import on_device

        return on_device(trunk, device)


FAMILIES = (Family(prefix=PREFIX, of_files=False, look=look, runtime=Runtime(), extra="timm"),)
