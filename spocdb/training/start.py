"""Initial weights of a training."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.errors import ConfigError, InvalidValue
from spocdb.features.backbones import backbone_of
from spocdb.features.backbones import find as find_backbone
from spocdb.features.backbones.efficientnet_lite import HEAD
from spocdb.features.backbones.mini2 import CHANNELS, LAST
from spocdb.features.recipes import WITH_CODEBOOK
from spocdb.features.trunks import Trunk, build_trunk
from spocdb.features.weights import load_state_dict, own
from spocdb.records import Recipe
from spocdb.training.seeding import seeded

# torchvision's numbers of SqueezeNet 1.1's fire modules; each fits a pair of mini's convolutions.
FIRES = (3, 4, 6, 7, 9, 10, 11, 12)
SQUEEZENET = f"features.{FIRES[0]}.squeeze.weight"
# The name for random initial weights.
RANDOM = "random"
# Standard deviation of the random values of a new last layer.
SMALL = 0.02


def find(preset: str, given: str | Path | None, cache_dir: Path) -> Path | None:
    """Return the file of initial weights: the given one, or the preset's own; None for "random".

    Raises:
        WeightsNotFound: The preset has no weights of its own, or they cannot be downloaded.
    """
    if given == RANDOM:
        return None
    return own(preset, cache_dir) if given is None else Path(given)


def has_new_last(recipe: Recipe, weights: Path | None) -> bool:
    """Return whether a student begins with weights of another network, which lack its last layer.

    And whether that layer is linear, as `fit_last` needs it: nothing follows but a sum.
    """
    is_linear = recipe.pooling == "sum" and not recipe.relu and recipe.attention is None
    if weights is None or not is_linear:
        return False
    state = load_state_dict(weights)
    return _is_squeezenet(recipe, state) or _is_lite0(recipe, state)


def check_trainable(recipe: Recipe) -> None:
    """Check that a recipe's descriptor is differentiable and its images can be batched.

    Raises:
        ConfigError: The recipe cannot be trained.
    """
    if backbone_of(recipe).runtime is not None:
        raise ConfigError(
            f"{recipe.backbone} cannot be trained here, only used: train a preset of spocdb"
        )
    if recipe.pooling in WITH_CODEBOOK:
        raise ConfigError(f"{recipe.pooling} pooling cannot be trained: use sum pooling")
    if recipe.attention == "crow":
        # The gradient of CroW's root is infinite where nothing is active.
        raise ConfigError("crow attention cannot be trained: leave it out")
    if recipe.fit == "aspect":
        raise ConfigError(
            "a batch needs images of one shape: train with `fit='warp'` or pad", field="fit"
        )


def build(recipe: Recipe, weights: Path | None, seed: int) -> Trunk:
    """Build a recipe's trunk for training, with a file's weights, or random ones without a file.

    `mini` also accepts SqueezeNet's weights, and `mini2` EfficientNet-Lite0's: their last layer is
    random then. Batch norm keeps the statistics of the weights.

    Raises:
        ConfigError: The file is broken, or its weights do not fit.
    """
    state = random_state(recipe, seed) if weights is None else load_state_dict(weights)
    if _is_squeezenet(recipe, state):
        state = mini_from_squeezenet(state, seed)
    elif _is_lite0(recipe, state):
        weight, bias = _new_last(torch.Size((CHANNELS, HEAD, 1, 1)), seed)
        state = {**state, f"{LAST}.weight": weight, f"{LAST}.bias": bias}
    return build_trunk(recipe, state).requires_grad_(True)


def freeze(trunk: Trunk, part: float) -> None:
    """Let the first `part` of a trunk's layers keep their weights; 0: none of them.

    Layers are modules with parameters of their own, counted from the image. A frozen layer needs no
    gradient, and so keeps no feature maps for it.

    Raises:
        ConfigError: `part` is out of range.
    """
    if not 0 <= part < 1:
        raise InvalidValue("frozen", f"{part:g}", "0 or more and less than 1")
    layers = [[*module.parameters(recurse=False)] for module in trunk.modules()]
    with_weights = [parameters for parameters in layers if parameters]
    for parameters in with_weights[: int(part * len(with_weights))]:
        for parameter in parameters:
            parameter.requires_grad_(False)


def random_state(recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """Return seeded random weights: He's (He et al. 2015) for convolutions, the network's others.

    Batch norm begins as the identity.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        network = find_backbone(recipe.backbone).network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network.state_dict()


def mini_from_squeezenet(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Convert SqueezeNet 1.1's weights to `mini`'s: the same function up to the last layers.

    A fire module's two expanding convolutions become one of 3 x 3, with the 1 x 1 one in its
    centre. Where `mini` has fewer channels, the last channels of each are dropped. The last layer
    of `mini` is random.
    """
    network = find_backbone("mini").network()
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    shapes = {name: network.get_parameter(f"{name}.weight").shape for name in names}
    started = {names[0]: _convolution(state, "features.0")}
    for fire, squeeze, expand in zip(FIRES, names[1:-1:2], names[2:-1:2], strict=True):
        started[squeeze] = _convolution(state, f"features.{fire}.squeeze")
        started[expand] = _expand(state, fire, shapes[expand][0])
    started[names[-1]] = _new_last(shapes[names[-1]], seed)
    return {
        f"{name}.{kind}": tensor
        for name, tensors in started.items()
        for kind, tensor in zip(("weight", "bias"), tensors, strict=True)
    }


def _is_squeezenet(recipe: Recipe, state: Mapping[str, Tensor]) -> bool:
    return recipe.backbone == "mini" and SQUEEZENET in state


def _is_lite0(recipe: Recipe, state: Mapping[str, Tensor]) -> bool:
    return recipe.backbone == "mini2" and f"{LAST}.weight" not in state


def _new_last(shape: torch.Size, seed: int) -> tuple[Tensor, Tensor]:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * SMALL
    return weight, torch.zeros(len(weight))


def _convolution(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"].float(), state[f"{name}.bias"].float()


def _expand(state: Mapping[str, Tensor], fire: int, n: int) -> tuple[Tensor, Tensor]:
    small, small_bias = _convolution(state, f"features.{fire}.expand1x1")
    large, large_bias = _convolution(state, f"features.{fire}.expand3x3")
    half = n // 2
    weight = torch.cat([functional.pad(small, (1, 1, 1, 1))[:half], large[:half]])
    return weight, torch.cat([small_bias[:half], large_bias[:half]])
