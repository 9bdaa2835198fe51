"""Networks that spocdb does not build: what their results mean, and what they take.

A result (N, C, h, w) is a feature map. A result (N, C) is a map of one position, whose sum is
itself. A result (N, T, C) is tokens: those of the class and registers come first, and the rest is a
square of positions.
"""

import copy
from collections.abc import Callable
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, InvalidValue
from spocdb.features.declarations import ANY_SIZE
from spocdb.features.devices import is_out_of_memory
from spocdb.records import Recipe
from spocdb.text import one_line

# The size that is tried, if neither the user nor the network says one; most were trained at it.
USUAL_SIZE = 224
# How much larger the second size is that is tried: most networks halve their input five times.
STEP = 32
LONGEST_REASON = 200

# Normalised RGB (N, 3, H, W) -> (N, C, h, w), (N, C) or (N, T, C).
Run = Callable[[Tensor], Tensor]


class Found(NamedTuple):
    """What a network gives and takes: channels, tokens before the map (None: no tokens), sizes."""

    channels: int
    leading_tokens: int | None
    sizes: range


class Foreign(nn.Module):
    """A network whose results become feature maps; what fails in it is one line.

    `what` names it in messages. CUDA graphs do not record it: it may use other streams.
    """

    can_be_recorded = False

    def __init__(self, what: str, run: Run, recipe: Recipe) -> None:
        super().__init__()
        # A torch module among them is registered, so that `to` moves it.
        self.run = run
        self._what, self._recipe = what, recipe

    def computed_by(self, run: Run) -> "Foreign":
        """Return the same network, computed by another function."""
        return Foreign(self._what, run, self._recipe)

    def forward(self, images: Tensor) -> Tensor:
        feature_map = as_map(results(self._what, self.run, images), self._recipe.leading_tokens)
        if feature_map.shape[1] != self._recipe.channels:
            raise ConfigError(
                f"{self._what} gives {feature_map.shape[1]} channels at this size, not "
                f"{self._recipe.channels}: take another size"
            )
        return torch.relu(feature_map) if self._recipe.relu else feature_map


def results(what: str, run: Run, images: Tensor) -> Tensor:
    """Return a network's results for images (N, 3, H, W), checked to be one of the known forms.

    Raises:
        ConfigError: The network fails, or gives something else.
    """
    try:
        given = run(images)
    # Code that is not ours may raise any exception.
    except Exception as error:
        if isinstance(error, ConfigError) or _is_out_of_memory(error):
            raise
        height, width = images.shape[2:]
        raise ConfigError(
            f"{what} fails on images of {width} x {height} ({_reason(error)}): "
            "take another size, or repair the file"
        ) from error
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = str(given.dtype) if isinstance(given, Tensor) else type(given).__name__
        raise ConfigError(f"{what} gives no feature map, but {kind}: {WANTED}")
    if given.ndim not in (2, 3, 4) or len(given) != len(images) or not given.numel():
        raise ConfigError(
            f"{what} gives {_shape(given)} for images of {_shape(images)}, no feature map: {WANTED}"
        )
    return given


WANTED = "let it give one tensor (N, C, h, w), (N, C) or (N, T, C)"


def as_map(given: Tensor, leading_tokens: int | None) -> Tensor:
    """Return results as a feature map (N, C, h, w); the first `leading_tokens` tokens are left out.

    Raises:
        ConfigError: The tokens are no square.
    """
    if given.ndim == 4:
        return given
    if given.ndim == 2:
        return given[:, :, None, None]
    tokens = given[:, leading_tokens or 0 :]
    side = isqrt(tokens.shape[1])
    if side == 0 or side * side != tokens.shape[1]:
        raise ConfigError(
            f"{given.shape[1]} tokens without the first {leading_tokens or 0} are no square: "
            "take another size"
        )
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


def look(
    what: str, run: Run, size: int | None, fixed: int | None = None, leading: int | None = None
) -> tuple[Found, int]:
    """Find out what a network gives and takes by running it; return also the size that it ran at.

    `size` is the user's, `fixed` the only one that the network takes, `leading` how many tokens
    are no positions, if that is known.

    Raises:
        ConfigError: The network fails, or gives no feature map.
        InvalidValue: The network takes another size only.
    """
    if fixed is not None and size not in (None, fixed):
        raise InvalidValue("size", size, f"{fixed} pixels, the only size of {what}")
    first = size or fixed or USUAL_SIZE
    channels, leading, patch = _tried(what, run, first, leading)
    if fixed is None and _takes(what, run, first + (patch or STEP), (channels, leading, patch)):
        sizes = steps(patch) if patch else ANY_SIZE
    else:
        sizes = range(first, first + 1)
    return Found(channels, leading, sizes), first


def steps(patch: int) -> range:
    """Return the sizes of a network that cuts its input into patches of `patch` pixels."""
    return range(-(-ANY_SIZE.start // patch) * patch, ANY_SIZE.stop, patch)


def on_device(trunk: nn.Module, device: torch.device) -> nn.Module:
    """Return a trunk on a device; a copy, unless it is there already."""
    return trunk if device.type == "cpu" else copy.deepcopy(trunk).to(device)


def refuse_bfloat16(what: str, dtype: torch.dtype) -> None:
    """Refuse a precision other than that of the file.

    Raises:
        ConfigError: It is not float32.
    """
    if dtype != torch.float32:
        raise ConfigError(
            f"{what} computes in the precision of its file: leave out `precision=...`",
            field="precision",
        )


def _tried(
    what: str, run: Run, size: int, leading: int | None
) -> tuple[int, int | None, int | None]:
    """Return channels, leading tokens, and the side of a token's patch in pixels."""
    # Not all zero, and two images, so that a network with a fixed batch shows.
    images = torch.linspace(-2, 2, 2 * 3 * size * size).view(2, 3, size, size)
    with torch.inference_mode():
        given = results(what, run, images)
    if given.ndim != 3:
        return given.shape[1], None, None
    if leading is None:
        # The tokens beyond the largest square: 197 are 14 x 14 and a class token.
        leading = given.shape[1] - isqrt(given.shape[1]) ** 2
    side = as_map(given, leading).shape[2]
    return given.shape[2], leading, size // side


def _takes(what: str, run: Run, size: int, as_before: tuple[int, int | None, int | None]) -> bool:
    """Return whether a network takes a second size, and gives the same form."""
    try:
        return _tried(what, run, size, as_before[1]) == as_before
    except ConfigError:
        return False


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and is_out_of_memory(error)


def _reason(error: Exception) -> str:
    # TorchScript's messages end with the error, after a trace of the script.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    is_traced = any(line.startswith("Traceback") for line in lines)
    said = lines[-1] if is_traced else " ".join(lines)
    return one_line(said or type(error).__name__, LONGEST_REASON)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
