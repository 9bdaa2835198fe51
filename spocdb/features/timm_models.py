"""timm's models: what they take and give, their weights, their feature maps."""

import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features import foreign
from spocdb.features.declarations import ANY_SIZE
from spocdb.features.trunks import assign
from spocdb.recipe_options import RGB
from spocdb.records import Recipe
from spocdb.text import one_line

N_SUGGESTIONS = 3
WEIGHTS = "model.safetensors"
LONGEST_REASON = 200


# Weights and the model that they are for -> the same with timm's names and shapes.
Convert = Callable[[dict[str, Tensor], nn.Module], Mapping[str, Any]]


class Facts(NamedTuple):
    """A model's channels, tokens that are not of its map (None: no tokens), and sizes."""

    channels: int
    leading_tokens: int | None
    size: int
    sizes: range


class Features(nn.Module):
    """A model up to its last feature map or tokens: (N, 3, H, W) -> (N, C, h, w) or (N, T, C)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # Swin and others keep the channels last.
        self._is_channels_last = getattr(model, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> Tensor:
        model: Any = self.model
        given: Tensor = model.forward_features(images)
        return given.permute(0, 3, 1, 2) if self._is_channels_last else given


def named(name: str, device: str = "meta", **options: Any) -> nn.Module:
    """Build a model without its classifier; on torch's "meta" device it has shapes alone.

    Raises:
        ConfigError: timm is not installed, or has no such model.
    """
    timm = _imported()
    try:
        # A prefix such as hf-hub: would make timm download a program's settings.
        if not timm.is_model(name):
            raise RuntimeError(f"no model {name}")
        with torch.device(device):
            model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    except RuntimeError as error:
        near = get_close_matches(name, timm.list_models(), N_SUGGESTIONS)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise ConfigError(f"timm has no model {name!r}: {hint}", field="extractor") from error
    return model.eval().requires_grad_(False)


def look(model: nn.Module) -> Facts:
    """Find out what a model gives and takes.

    Raises:
        ConfigError: It takes no RGB images, or gives no feature map.
    """
    settings: Any = model.pretrained_cfg
    n_channels, height, width = settings["input_size"]
    what = f"timm's {settings['architecture']}"
    if n_channels != 3 or height != width:
        raise ConfigError(f"{what} takes no square RGB images: take another model")
    images = torch.zeros(2, 3, height, width, device="meta")
    given = foreign.results(what, Features(model), images)
    leading = getattr(model, "num_prefix_tokens", 0) if given.ndim == 3 else None
    side = foreign.as_map(given, leading).shape[2]
    channels = given.shape[1] if given.ndim == 4 else given.shape[-1]
    if settings.get("fixed_input_size") and not _takes_sizes(model):
        sizes = range(height, height + 1)
    else:
        sizes = ANY_SIZE if leading is None else foreign.steps(height // side)
    return Facts(channels, leading, height, sizes)


def loaded(recipe: Recipe, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Return a recipe's model with the given weights, as timm converts them.

    Raises:
        ConfigError: timm is not installed, or the weights do not fit.
    """
    name = recipe.backbone.partition(":")[2]
    # Its position embedding is resampled once, while the weights are converted.
    options = {"img_size": recipe.size} if _takes_sizes(named(name)) else {}
    model = named(name, "cpu", **options)
    assign(model, _converted(model, state_dict, recipe.backbone), recipe.backbone)
    features = Features(model).requires_grad_(False)
    return foreign.Foreign(recipe.backbone, features, recipe)


def _takes_sizes(model: nn.Module) -> bool:
    """Return whether a model can be built for any size in steps of its patches."""
    models = _imported().models
    return isinstance(model, (models.VisionTransformer, models.Eva))


def _converted(model: nn.Module, state_dict: Mapping[str, Tensor], name: str) -> Mapping[str, Any]:
    """Return weights under timm's names; they may have those of whoever trained them."""
    convert: Convert | None = getattr(
        sys.modules[type(model).__module__], "checkpoint_filter_fn", None
    )
    try:
        return convert(dict(state_dict), model) if convert else state_dict
    # It takes the names and shapes that it expects for granted.
    except Exception as error:
        raise ConfigError(f"these are no weights of {name}: timm cannot convert them") from error


def fetch(name: str, repository: str | None) -> Path:
    """Return the file of a model's own weights from the Hugging Face Hub, or from its cache.

    Raises:
        WeightsNotFound: timm names none, or they cannot be downloaded.
    """
    if not repository:
        raise WeightsNotFound(f"timm has no weights of {name}: give a file with `weights=FILE`")
    import huggingface_hub as hub

    if isinstance(there := hub.try_to_load_from_cache(repository, WEIGHTS), str):
        return Path(there)
    try:
        # Fails at once without a network; the download would retry for half a minute.
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, WEIGHTS))
        return Path(hub.hf_hub_download(repository, WEIGHTS))
    # Without a network, each of several libraries raises its own.
    except Exception as error:
        reason = one_line(" ".join(str(error).split()), LONGEST_REASON)
        raise WeightsNotFound(
            f"cannot download {WEIGHTS} of {repository} from the Hugging Face Hub ({reason}): "
            "give a file with `weights=FILE`"
        ) from error


def in_bytes(values: Sequence[float]) -> RGB:
    """Return numbers in units of 0-1 in units of 0-255."""
    red, green, blue = (round(255 * value, 6) for value in values)
    return red, green, blue


def _imported() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ConfigError("timm is not installed: run `pip install 'spocdb[timm]'`") from error
    module: ModuleType = timm
    return module
