"""Which recipe a command means: what was asked for, on top of what the collection has."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError
from spocdb.features.codebook_files import load as load_codebook
from spocdb.features.recipes import PRESETS, find_preset, make_recipe
from spocdb.features.weights import own, remember
from spocdb.records import Recipe

DEFAULT_PRESET = "vgg19"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of an extractor.

    `name` is a preset or an extractor that the database knows; `options` are those of
    `recipes.make_recipe`, None where nothing was said.
    """

    name: str | None = None
    weights: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    codebook: Path | None = None


def choose(
    wanted: Wanted, stored: Recipe | None, known: Sequence[Recipe], cache_dir: Path
) -> Recipe:
    """Return the recipe that is meant.

    `stored` is the collection's own, if there is a collection; `known` are the database's.
    Raises ConfigError if something else is asked of a collection than it has, and
    WeightsNotFound if a new one needs weights that are neither given nor to be downloaded.
    """
    _refuse_unknown(wanted.name, [*known, *filter(None, [stored])])
    options = {name: value for name, value in wanted.options.items() if value is not None}
    base = stored or next((r for r in known if r.name == wanted.name), None)
    if wanted.codebook is not None:
        options["codebook"] = _codebook(wanted.codebook, wanted, base, cache_dir)
    if base is None:
        return _new(wanted, options, cache_dir)
    weights = remember(wanted.weights, cache_dir) if wanted.weights else base.weights
    recipe = make_recipe(base.backbone, weights, **{**_options_of(base, options), **options})
    is_other_name = wanted.name not in (None, base.backbone, base.name)
    if stored and (recipe != stored or is_other_name):
        raise ConfigError(
            f"this collection has {stored.name} and keeps it "
            f"({_difference(wanted, stored, recipe)}): "
            "use another --collection, or `spocdb reembed`"
        )
    return recipe


def _refuse_unknown(name: str | None, known: Sequence[Recipe]) -> None:
    names = list(dict.fromkeys([*PRESETS, *(recipe.name for recipe in known)]))
    if name is not None and name not in names:
        raise ConfigError(f"unknown extractor {name!r}: one of {', '.join(names)}")


def _codebook(file: Path, wanted: Wanted, base: Recipe | None, cache_dir: Path) -> tuple[str, int]:
    """Return a codebook's sha256 and dimension. Raises ConfigError if it is another network's."""
    codebook = load_codebook(file)
    backbone = base.backbone if base else wanted.name or DEFAULT_PRESET
    if codebook.channels != (n := find_preset(backbone).channels):
        raise ConfigError(
            f"the codebook {file} is for feature maps of {codebook.channels} channels, "
            f"{backbone}'s have {n}: make one with `spocdb codebook fit`"
        )
    return remember(file, cache_dir), codebook.dim


def _new(wanted: Wanted, options: Mapping[str, Any], cache_dir: Path) -> Recipe:
    name = find_preset(wanted.name or DEFAULT_PRESET).backbone
    make_recipe(name, "", **options)  # a wrong option is told before any download
    return make_recipe(name, remember(wanted.weights or own(name, cache_dir), cache_dir), **options)


def _options_of(recipe: Recipe, overridden: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's options, without those that make no sense beside the overridden ones."""
    options = {
        "size": recipe.size,
        "fit": recipe.fit,
        "relu": recipe.relu,
        "pooling": recipe.pooling,
        "centering": recipe.sigma is not None,
        "sigma": recipe.sigma,
        "gem_p": recipe.gem_p,
        "scales": recipe.scales,
        "flip": recipe.flip,
        "attention": recipe.attention,
        "codebook": (recipe.codebook, recipe.codebook_dim) if recipe.codebook else None,
    }
    dependent = {
        "pooling": ("centering", "sigma", "gem_p", "attention", "codebook"),
        "centering": ("sigma",),
    }
    dropped = {name for key in overridden for name in dependent.get(key, ())}
    if overridden.get("sigma") is not None:
        dropped.add("centering")
    return {name: value for name, value in options.items() if name not in dropped}


def _difference(wanted: Wanted, stored: Recipe, recipe: Recipe) -> str:
    before, after = asdict(stored), asdict(recipe)
    if wanted.name not in (None, stored.backbone, stored.name):
        return f"asked for {wanted.name}"
    return ", ".join(
        f"{name} {_short(before[name])}, asked for {_short(after[name])}"
        for name in before
        if before[name] != after[name]
    )


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) else str(value)
