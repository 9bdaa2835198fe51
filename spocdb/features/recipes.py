"""Recipes: a backbone's defaults, overridden by options.

Does not import torch, so that a command can check its arguments quickly.
"""

import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar, Unpack, cast

import numpy as np

from spocdb.errors import ConfigError, DescriptorError, InvalidValue, UnknownChoice
from spocdb.features.backbones import backbone_of, find
from spocdb.features.declarations import ANY_SIZE, PAPER_SIGMA, Backbone
from spocdb.recipe_options import (
    OPTIONS,
    RGB,
    Attention,
    Fit,
    Interpolation,
    Pooling,
    RecipeOptions,
)
from spocdb.records import Float32Array, Recipe

# The usual start of GeM's exponent (Radenovic et al. 2018).
USUAL_GEM_P = 3.0
# The poolings that support a centering prior.
WEIGHED = ("sum", "gem")
WITH_CODEBOOK = ("fisher", "triangulation")
MOST_SCALES = 8
# In units of 0-255. A smaller deviation was meant for pixels from 0 to 1.
LEAST_MEAN, LEAST_STD = 0.0, 1.0

Choice = TypeVar("Choice", Fit, Pooling, Attention, Interpolation)


def channels(recipe: Recipe) -> int:
    """Return the dimension C of a recipe's raw descriptors.

    Raises:
        ConfigError: This version of spocdb does not know the recipe's backbone or its layer.
    """
    return recipe.codebook_dim or map_channels(recipe)


def map_channels(recipe: Recipe) -> int:
    """Return the channels of the feature map that a recipe pools.

    Raises:
        ConfigError: As for `channels`.
    """
    return backbone_of(recipe).channels(recipe.layer)


def split(raw: Float32Array, recipes: Sequence[Recipe]) -> dict[Recipe, Float32Array]:
    """Return each recipe's part (..., C) of descriptors (..., C1 + C2 + ...) in this order."""
    ends = list(accumulate(map(channels, recipes)))
    return dict(zip(recipes, np.split(raw, ends[:-1], axis=-1), strict=True))


def not_finite(recipe: Recipe) -> DescriptorError:
    """Return the error that a recipe's network gives numbers that are not finite."""
    return DescriptorError(
        f"{recipe.name} gives numbers that are not finite: "
        "check the weights file, or use `precision='float32'`"
    )


def make_recipe(
    backbone: str | Backbone,
    weights: str,
    *,
    codebook: tuple[str, int] | None = None,
    **options: Unpack[RecipeOptions],
) -> Recipe:
    """Build a backbone's recipe, overridden by the options that are not None.

    `weights` is the sha256 of the weights file; `codebook` is the sha256 of a codebook file and the
    dimension of its descriptors. Options of equal meaning give equal recipes: max pooling never
    has a prior, and only GeM has an exponent.

    Raises:
        ConfigError: An option is unknown, out of range, or contradicts another one.
    """
    _refuse_unknown(options)
    base = find(backbone) if isinstance(backbone, str) else backbone
    pooling = _one_of("pooling", options.get("pooling") or base.pooling)
    size = _size(base, options.get("size"))
    fit = _one_of("fit", options.get("fit") or base.fit)
    scales = _scales(size, options.get("scales"))
    _refuse_other_sizes(base, fit, scales)
    relu = options.get("relu")
    sha256, dim = _codebook(pooling, codebook)
    return Recipe(
        backbone=base.name,
        weights=weights,
        layer=base.layer,
        relu=base.relu if relu is None else relu,
        size=size,
        fit=fit,
        ceil_mode=base.ceil_mode,
        pooling=pooling,
        sigma=_sigma(base, pooling, options.get("centering"), options.get("sigma")),
        gem_p=_gem_p(pooling, options.get("gem_p")),
        interpolation=_one_of("interpolation", options.get("interpolation") or base.interpolation),
        background="white",
        scales=scales,
        flip=bool(options.get("flip")),
        attention=_attention(pooling, options.get("attention")),
        codebook=sha256,
        codebook_dim=dim,
        mean=_rgb("mean", options.get("mean") or base.mean, LEAST_MEAN),
        std=_rgb("std", options.get("std") or base.std, LEAST_STD),
        **base.recorded,
    )


def options_of(recipe: Recipe, changed: Sequence[str] = ()) -> RecipeOptions:
    """Return the options that reproduce a recipe from its backbone, without its codebook.

    Options that depend on one of `changed` are left out: a new pooling has its own prior.
    """
    kept = {
        name: getattr(recipe, name)
        for name, option in OPTIONS.items()
        if not set(option.about.depends_on).intersection(changed)
    }
    return cast(RecipeOptions, kept)


def check_recipe(recipe: Recipe) -> None:
    """Check that options can produce a recipe that was read from a file.

    Raises:
        ConfigError: The recipe is invalid, or comes from another version of spocdb.
    """
    # A file may hold anything as their values.
    if not isinstance(recipe.backbone, str) or not isinstance(recipe.layer, str):
        raise ConfigError("this extractor's recipe makes no sense: it names no network or layer")
    known_by = [recipe.weights, *([recipe.codebook] if recipe.codebook else [])]
    codebook = (recipe.codebook, recipe.codebook_dim or 0) if recipe.codebook else None
    try:
        are_hashes = all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in known_by)
        # A file may hold 256.0 or "256" instead of 256.
        options: RecipeOptions = {
            **options_of(recipe),
            "size": int(recipe.size),
            "relu": bool(recipe.relu),
        }
        made = make_recipe(backbone_of(recipe), recipe.weights, codebook=codebook, **options)
        # Compare the texts: True == 1, but their fingerprints differ.
        is_known = are_hashes and repr(made) == repr(recipe) and isinstance(channels(made), int)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this extractor's recipe makes no sense: {error}") from error
    if not is_known:
        raise ConfigError(
            f"this version of spocdb has no extractor such as {recipe.name}: upgrade spocdb, "
            "or export the projection again"
        )


def _refuse_unknown(options: RecipeOptions) -> None:
    if unknown := options.keys() - OPTIONS.keys():
        raise TypeError(f"a recipe has no option {min(unknown)}: one of {', '.join(OPTIONS)}")


def _sigma(
    base: Backbone, pooling: Pooling, centering: bool | None, sigma: float | None
) -> float | None:
    if centering is False and sigma is not None:
        raise ConfigError(
            "sigma belongs to the centering prior: leave it out, or keep the prior on",
            field="sigma",
        )
    if pooling not in WEIGHED:
        if centering or sigma is not None:
            raise ConfigError(
                f"{pooling} pooling takes no centering prior: use sum or gem pooling",
                field="centering",
            )
        return None
    if sigma is None:
        wanted = base.sigma is not None if centering is None else centering
        sigma = (base.sigma or PAPER_SIGMA) if wanted else None
    return None if sigma is None else _positive("sigma", sigma)


def _gem_p(pooling: Pooling, gem_p: float | None) -> float | None:
    if pooling == "gem":
        return _positive("gem_p", USUAL_GEM_P if gem_p is None else gem_p)
    if gem_p is not None:
        raise ConfigError(
            "gem_p is the exponent of gem pooling: leave it out, or use gem pooling", field="gem_p"
        )
    return None


def _scales(size: int, scales: Sequence[float] | None) -> tuple[float, ...]:
    scales = (1.0,) if scales is None else scales
    ordered = tuple(sorted({float(scale) for scale in scales}, reverse=True))
    if not ordered or len(ordered) > MOST_SCALES or ordered[0] != 1.0:
        given = ", ".join(f"{scale:g}" for scale in scales)
        bound = f"1 to {MOST_SCALES} fractions of the size, the largest of them 1"
        raise InvalidValue("scales", given, bound)
    if not ordered[-1] * size >= ANY_SIZE.start:
        raise ConfigError(
            f"the smallest scale, {ordered[-1]:g}, leaves less than {ANY_SIZE.start} pixels of "
            f"{size}: leave it out, or take a larger size",
            field="scales",
            bound=f"at least {ANY_SIZE.start} pixels",
        )
    return ordered


def _attention(pooling: Pooling, attention: Attention | None) -> Attention | None:
    if attention is None:
        return None
    if pooling != "sum":
        raise ConfigError(
            "attention needs sum pooling: leave it out, or use sum pooling", field="attention"
        )
    return _one_of("attention", attention)


def _codebook(pooling: Pooling, codebook: tuple[str, int] | None) -> tuple[str | None, int | None]:
    if pooling in WITH_CODEBOOK and codebook is None:
        raise ConfigError(
            f"{pooling} pooling needs a codebook: give one with `codebook=FILE`, "
            "which `db.learn_codebook(...)` makes",
            field="codebook",
        )
    if pooling not in WITH_CODEBOOK and codebook is not None:
        raise ConfigError(
            f"a codebook is for pooling by {' or '.join(WITH_CODEBOOK)}, not by {pooling}",
            field="codebook",
        )
    return codebook or (None, None)


def _size(base: Backbone, asked: int | None) -> int:
    size, sizes = base.size if asked is None else asked, base.sizes
    if size not in sizes:
        steps = f" in steps of {sizes.step}" if sizes.step > 1 else ""
        several = f"{sizes[0]} to {sizes[-1]} pixels{steps}"
        raise InvalidValue("size", size, several if len(sizes) > 1 else f"{sizes[0]} pixels")
    return size


def _refuse_other_sizes(base: Backbone, fit: Fit, scales: Sequence[float]) -> None:
    """Refuse "aspect" and several scales for a network that takes certain sizes only."""
    if base.sizes != ANY_SIZE and (fit == "aspect" or len(scales) > 1):
        raise ConfigError(
            f"{base.name} takes only squares of certain sizes: use fit warp or pad, at one scale"
        )


def _rgb(name: str, values: Sequence[float], least: float) -> RGB:
    # NaN compares false, and is refused.
    if len(values) != 3 or not all(least <= value <= 255 for value in values):
        bound = f"three numbers from {least:g} to 255, of red, green and blue in units of 0-255"
        raise InvalidValue(name, ", ".join(f"{value:g}" for value in values), bound)
    red, green, blue = map(float, values)
    return red, green, blue


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise InvalidValue(name, value, "a positive number")
    return float(value)


def _one_of(name: str, value: Choice) -> Choice:
    known = OPTIONS[name].choices
    if value not in known:
        raise UnknownChoice(name, value, known)
    return value
