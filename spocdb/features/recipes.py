"""Extractors by name: what each backbone is, and the options on top of it.

Nothing here imports torch, so that a command can check its arguments at once.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from spocdb.errors import ConfigError
from spocdb.records import Attention, Fit, Pooling, Recipe

# The paper's prior: sigma is a third of the distance from the centre to the nearest border.
PAPER_SIGMA = 1 / 3
# The usual start of GeM's exponent (Radenovic et al. 2018).
USUAL_GEM_P = 3.0
SMALLEST_SIZE, LARGEST_SIZE = 32, 4096

# The poolings that a centering prior can weigh.
WEIGHED = ("sum", "gem")
WITH_CODEBOOK = ("fisher", "triangulation")
MOST_SCALES = 8

Choice = TypeVar("Choice", Fit, Pooling, Attention)


@dataclass(frozen=True, slots=True)
class Preset:
    """A backbone and the recipe that fits it; `channels` is the raw descriptor's dimension."""

    backbone: str
    layer: str
    channels: int
    ceil_mode: bool
    size: int = 586
    fit: Fit = "warp"
    relu: bool = True
    pooling: Pooling = "sum"
    sigma: float = PAPER_SIGMA


PRESETS = {
    preset.backbone: preset
    for preset in (
        Preset("vgg19", "conv5_4", channels=512, ceil_mode=True),
        Preset("vgg16", "conv5_3", channels=512, ceil_mode=True),
        Preset("squeezenet1_1", "fire9", channels=512, ceil_mode=True),
        Preset("mini", "conv10", channels=256, ceil_mode=True, size=256, relu=False, sigma=0.5),
        Preset("mobilenet_v1", "conv5_6", channels=1024, ceil_mode=False),
        Preset("resnet50", "layer4", channels=2048, ceil_mode=False),
        Preset("resnet101", "layer4", channels=2048, ceil_mode=False),
    )
}


def find_preset(name: str) -> Preset:
    """Return a preset. Raises ConfigError, which lists them all, for an unknown name."""
    if name not in PRESETS:
        raise ConfigError(f"unknown extractor {name!r}: one of {', '.join(PRESETS)}")
    return PRESETS[name]


def channels(recipe: Recipe) -> int:
    """Return the dimension C of a recipe's raw descriptors."""
    return recipe.codebook_dim or find_preset(recipe.backbone).channels


def make_recipe(
    preset: str,
    weights: str,
    *,
    size: int | None = None,
    fit: Fit | None = None,
    relu: bool | None = None,
    pooling: Pooling | None = None,
    centering: bool | None = None,
    sigma: float | None = None,
    gem_p: float | None = None,
    scales: Sequence[float] | None = None,
    flip: bool | None = None,
    attention: Attention | None = None,
    codebook: tuple[str, int] | None = None,
) -> Recipe:
    """Build the recipe of a preset with options on top; what is None stays as the preset has it.

    `weights` is the sha256 of the weights file, `sigma` a part of the distance from the centre to
    the nearest border, `codebook` a codebook file's sha256 and the dimension that it gives. The
    same meaning gives the same recipe: max pooling has no prior, and only GeM has an exponent.
    Raises ConfigError for options that are out of range or contradictory.
    """
    base = find_preset(preset)
    pooling = _one_of("pooling", pooling or base.pooling, get_args(Pooling))
    size = _size(base.size if size is None else size)
    sha256, dim = _codebook(pooling, codebook)
    return Recipe(
        backbone=base.backbone,
        weights=weights,
        layer=base.layer,
        relu=base.relu if relu is None else relu,
        size=size,
        fit=_one_of("fit", fit or base.fit, get_args(Fit)),
        ceil_mode=base.ceil_mode,
        pooling=pooling,
        sigma=_sigma(base, pooling, centering, sigma),
        gem_p=_gem_p(pooling, gem_p),
        interpolation="bilinear",
        background="white",
        scales=_scales(size, (1.0,) if scales is None else scales),
        flip=bool(flip),
        attention=_attention(pooling, attention),
        codebook=sha256,
        codebook_dim=dim,
    )


def check_recipe(recipe: Recipe) -> None:
    """Raise ConfigError for a recipe, read from a file, that no options give."""
    centering = recipe.sigma is not None if recipe.pooling in WEIGHED else None
    known_by = [recipe.weights, *([recipe.codebook] if recipe.codebook else [])]
    try:
        are_hashes = all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in known_by)
        made = make_recipe(
            recipe.backbone,
            recipe.weights,
            size=int(recipe.size),
            fit=recipe.fit,
            relu=bool(recipe.relu),
            pooling=recipe.pooling,
            centering=centering,
            sigma=recipe.sigma,
            gem_p=recipe.gem_p,
            scales=recipe.scales,
            flip=recipe.flip,
            attention=recipe.attention,
            codebook=(recipe.codebook, recipe.codebook_dim or 0) if recipe.codebook else None,
        )
        # Text, not values: True is 1, and has another fingerprint.
        is_known = are_hashes and repr(made) == repr(recipe) and isinstance(channels(made), int)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this extractor's recipe makes no sense: {error}") from error
    if not is_known:
        raise ConfigError(
            f"this version of spocdb has no extractor such as {recipe.name}: upgrade spocdb, "
            "or export the projection again"
        )


def _sigma(
    base: Preset, pooling: Pooling, centering: bool | None, sigma: float | None
) -> float | None:
    if centering is False and sigma is not None:
        raise ConfigError("sigma is the centering prior's: leave it out, or keep the prior on")
    if pooling not in WEIGHED:
        if centering or sigma is not None:
            raise ConfigError(f"{pooling} pooling takes no centering prior: use sum or gem pooling")
        return None
    if centering is False:
        return None
    return _positive("sigma", base.sigma if sigma is None else sigma)


def _gem_p(pooling: Pooling, gem_p: float | None) -> float | None:
    if pooling == "gem":
        return _positive("gem_p", USUAL_GEM_P if gem_p is None else gem_p)
    if gem_p is not None:
        raise ConfigError("gem_p is the exponent of gem pooling: leave it out, or pool by gem")
    return None


def _scales(size: int, scales: Sequence[float]) -> tuple[float, ...]:
    ordered = tuple(sorted({float(scale) for scale in scales}, reverse=True))
    if not ordered or len(ordered) > MOST_SCALES or ordered[0] != 1.0:
        raise ConfigError(
            f"scales must be 1 to {MOST_SCALES} parts of the size, the largest of them 1, "
            f"not {', '.join(f'{s:g}' for s in scales)}"
        )
    if not ordered[-1] * size >= SMALLEST_SIZE:
        raise ConfigError(
            f"the smallest scale, {ordered[-1]:g}, leaves less than {SMALLEST_SIZE} pixels of "
            f"{size}: leave it out, or take a larger size"
        )
    return ordered


def _attention(pooling: Pooling, attention: Attention | None) -> Attention | None:
    if attention is None:
        return None
    if pooling != "sum":
        raise ConfigError("attention weighs what is summed: leave it out, or pool by sum")
    known: tuple[Attention, ...] = get_args(Attention)
    return _one_of("attention", attention, known)


def _codebook(pooling: Pooling, codebook: tuple[str, int] | None) -> tuple[str | None, int | None]:
    if pooling in WITH_CODEBOOK and codebook is None:
        raise ConfigError(
            f"{pooling} pooling needs a codebook: give one with --codebook FILE, "
            "which `spocdb codebook fit` makes"
        )
    if pooling not in WITH_CODEBOOK and codebook is not None:
        raise ConfigError(
            f"a codebook is for pooling by {' or '.join(WITH_CODEBOOK)}, not by {pooling}"
        )
    return codebook or (None, None)


def _size(size: int) -> int:
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise ConfigError(f"size must be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, not {size}")
    return size


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name} must be a positive number, not {value}")
    return float(value)


def _one_of(name: str, value: Choice, known: tuple[Choice, ...]) -> Choice:
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}: one of {', '.join(map(str, known))}")
    return value
