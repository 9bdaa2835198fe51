"""What a network declares: its layers, sizes, normalisation, weights and default recipe.

Declaring a network does not import torch, so that a command can check its arguments quickly;
building one does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from spocdb.errors import ConfigError
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

# The paper's prior: sigma is a third of the distance from the centre to the nearest border.
PAPER_SIGMA = 1 / 3
# A network that halves its input five times needs 32 pixels.
ANY_SIZE = range(32, 4097)

# A network, the layer to cut it after, and whether a ReLU follows -> the modules up to that layer,
# in order, by their names in weights files.
Cut = Callable[["nn.Module", str, bool], Mapping[str, "nn.Module"]]


class Convolution(NamedTuple):
    """A convolution with a bias; a ReLU follows unless it is the last step."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0


class MaxPool(NamedTuple):
    """A max pooling."""

    kernel: int
    stride: int


Step = Convolution | MaxPool


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


def not_of_modules(*_: object) -> NoReturn:
    """Stand for `network` and `cut` of a network that only its runtime can build.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError("this network is not built of torch's modules here: take another extractor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A network, its layers and input sizes, and its default recipe.

    `layers` maps each layer that the network can be cut after to the channels of its feature map;
    the first layer is the recipe's. `network` builds the whole network with initial values, and
    `cut` returns the modules up to a layer. `sizes` are the allowed input sizes in pixels. `mean`
    and `std` normalise the pixels (red, green, blue, in units of 0-255).

    The network's own weights are at `url`, whose file name ends with the first digits of their
    sha256, in the file `packed` of an installed package, or `fetch` downloads them in the way of
    another library. Without any of these, the user must give a file. `licence` is the licence of
    the weights.

    `bfloat16` says whether that precision may be chosen automatically: false where measurements
    show that it is too coarse.

    `sigma` is the default of the centering prior; None: no prior unless the user asks for it.

    `steps` are those of a network that is nothing but a sequence `features` of them, which NumPy
    can compute too: see `features/plain.py`.

    A network with a `runtime` of its own may leave out `network` and `cut`; it cannot be trained.
    `recorded` holds the fields of a recipe that describe a network of a `Family`.
    """

    name: str
    layers: Mapping[str, int]
    network: "Callable[[], nn.Module]" = not_of_modules
    cut: Cut = not_of_modules
    url: str | None = None
    packed: Packed | None = None
    fetch: Callable[[], Path] | None = None
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
    steps: Sequence[Step] = ()
    # None: torch, see features/runtimes.py.
    runtime: Runtime | None = None
    recorded: Mapping[str, Any] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Networks that are looked at instead of declared: `PREFIX:FILE`, or `PREFIX:NAME`.

    With `of_files` the file holds the whole network, and a recipe's backbone is the prefix alone:
    the file is known by its sha256, as all weights are. Otherwise the backbone is `PREFIX:NAME`.

    `look` takes the backbone, the file if one is given, and the size if the user gives one; it
    returns what `made` makes of what it finds. `extra` is the extra of spocdb that brings what the
    family needs. `bfloat16` is as for `Backbone`.
    """

    prefix: str
    of_files: bool
    look: Callable[["Family", str, Path | None, int | None], Backbone]
    runtime: Runtime
    extra: str | None = None
    bfloat16: bool = True

    @property
    def form(self) -> str:
        """Return how a user writes it, such as "onnx:FILE"."""
        return f"{self.prefix}:{'FILE' if self.of_files else 'NAME'}"

    def made(
        self,
        name: str,
        layer: str,
        channels: int,
        sizes: range = ANY_SIZE,
        leading_tokens: int | None = None,
        **preset: Any,
    ) -> Backbone:
        """Return a backbone that a recipe can describe; `preset` are further fields of it.

        `leading_tokens` is how many tokens are not of the feature map, None without tokens.
        """
        recorded = {
            "channels": channels,
            "sizes": None if sizes == ANY_SIZE else (sizes[0], sizes[-1], sizes.step),
            "leading_tokens": leading_tokens,
        }
        defaults: dict[str, Any] = {"sigma": None, "relu": False, "bfloat16": self.bfloat16}
        return Backbone(
            name=name,
            layers={layer: channels},
            sizes=sizes,
            runtime=self.runtime,
            recorded=recorded,
            **{**defaults, **preset},
        )

    def recalled(self, recipe: "Recipe") -> Backbone:
        """Return the backbone that a recipe describes; needs neither its file nor its library.

        Raises:
            ConfigError: The recipe does not describe it.
        """
        first, last, step = recipe.sizes or (ANY_SIZE[0], ANY_SIZE[-1], 1)
        sizes = range(first, last + 1, step)
        numbers = recipe.channels or 0, (recipe.leading_tokens or 0) + 1, len(sizes)
        # "onnx", but "timm:NAME".
        is_named_well = (":" in recipe.backbone) != self.of_files
        if min(numbers) < 1 or not is_named_well:
            raise ConfigError(f"the recipe {recipe.name} does not describe its network")
        return self.made(
            recipe.backbone,
            recipe.layer,
            numbers[0],
            sizes,
            recipe.leading_tokens,
            size=recipe.size,
            interpolation=recipe.interpolation,
            mean=recipe.mean,
            std=recipe.std,
        )
