"""The networks that a recipe can name, one file per family.

Each module of this package declares its networks in `BACKBONES`, and they are listed only there.
Declaring a network does not import torch, so that a command can check its arguments quickly;
building one does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

from spocdb.errors import ConfigError, UnknownChoice
from spocdb.recipe_options import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RGB,
    Fit,
    Interpolation,
    Pooling,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spocdb.records import Recipe

DEFAULT = "vgg19"
# The paper's prior: sigma is a third of the distance from the centre to the nearest border.
PAPER_SIGMA = 1 / 3
# A network that halves its input five times needs 32 pixels.
ANY_SIZE = range(32, 4097)

# A network, the layer to cut it after, and whether a ReLU follows -> the modules up to that layer,
# in order, by their names in weights files.
Cut = Callable[["nn.Module", str, bool], Mapping[str, "nn.Module"]]


class Runtime(Protocol):
    """Loads a network and computes it; everything behind these two methods is its own."""

    def load(self, recipe: "Recipe", weights: Path) -> "nn.Module":
        """Load the trunk: normalised RGB (N, 3, H, W) -> feature maps (N, C, h, w).

        Raises:
            ConfigError: The file is broken, or holds no weights of this network.
        """
        ...

    def engine(
        self, trunk: "nn.Module", dtype: "torch.dtype", device: "torch.device"
    ) -> "nn.Module":
        """Return a trunk optimised for inference on a device; it cannot be trained."""
        ...


@dataclass(frozen=True, slots=True)
class Packed:
    """A weights file in an installed package, which the extra `extra` of spocdb brings."""

    package: str
    file: str
    extra: str | None = None

    def find(self) -> Path | None:
        """Return the file, or None if the package is not installed. Nothing is imported."""
        found = find_spec(self.package)
        folders = found.submodule_search_locations if found else None
        files = (Path(folder, self.file) for folder in folders or [])
        return next((file for file in files if file.is_file()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A network, its layers and input sizes, and its default recipe.

    `layers` maps each layer that the network can be cut after to the channels of its feature map;
    the first layer is the recipe's. `network` builds the whole network with initial values, and
    `cut` returns the modules up to a layer. `sizes` are the allowed input sizes in pixels. `mean`
    and `std` normalise the pixels (red, green, blue, in units of 0-255).

    The network's own weights are at `url`, whose file name ends with the first digits of their
    sha256, or in the file `packed` of an installed package. Without either, the user must give a
    file. `licence` is the licence of the weights.

    `bfloat16` says whether that precision may be chosen automatically: false where measurements
    show that it is too coarse.

    `sigma` is the default of the centering prior; None: no prior unless the user asks for it.
    """

    name: str
    layers: Mapping[str, int]
    network: "Callable[[], nn.Module]"
    cut: Cut
    url: str | None = None
    packed: Packed | None = None
    licence: str | None = None
    # The default recipe.
    ceil_mode: bool = False
    size: int = 586
    fit: Fit = "warp"
    relu: bool = True
    pooling: Pooling = "sum"
    sigma: float | None = PAPER_SIGMA
    interpolation: Interpolation = "bilinear"
    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD
    sizes: range = ANY_SIZE
    bfloat16: bool = True
    # None: torch, see features/runtimes.py.
    runtime: Runtime | None = None

    @property
    def layer(self) -> str:
        """Return the layer that a recipe is cut after."""
        return next(iter(self.layers))

    def channels(self, layer: str) -> int:
        """Return the channels of the feature map at a layer.

        Raises:
            ConfigError: The network cannot be cut after this layer.
        """
        if layer not in self.layers:
            raise ConfigError(f"unknown layer {layer} of {self.name}: upgrade spocdb")
        return self.layers[layer]

    def as_dict(self) -> dict[str, Any]:
        """Return the backbone's facts for JSON output."""
        return {
            "backbone": self.name,
            "layer": self.layer,
            "channels": self.channels(self.layer),
            "ceil_mode": self.ceil_mode,
            "size": self.size,
            "fit": self.fit,
            "relu": self.relu,
            "pooling": self.pooling,
            "sigma": self.sigma,
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
            "weights": self.url or (self.packed and self.packed.file),
            "licence": self.licence,
        }


def find(name: str) -> Backbone:
    """Return a backbone.

    Raises:
        ConfigError: No backbone has this name; the message lists them all.
    """
    if name not in _declared():
        raise UnknownChoice("extractor", name, names())
    return _declared()[name]


def names() -> Sequence[str]:
    """Return the names of all backbones, the default first."""
    return sorted(_declared(), key=lambda name: name != DEFAULT)


@cache
def _declared() -> Mapping[str, Backbone]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return {backbone.name: backbone for module in modules for backbone in module.BACKBONES}
