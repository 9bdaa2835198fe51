"""Selects a command's recipe: the user's options override those of the collection."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError, UnknownChoice
from spocdb.features.backbones import DEFAULT, names
from spocdb.features.codebook_files import load as load_codebook
from spocdb.features.recipes import make_recipe, map_channels, options_of
from spocdb.features.weights import own, remember
from spocdb.records import Recipe


@dataclass(frozen=True, slots=True)
class Wanted:
    """A user's request for an extractor.

    `name` is a backbone or an extractor in the database; `options` are values of `RecipeOptions`,
    None where the user gave no value.
    """

    name: str | None = None
    weights: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    codebook: Path | None = None


def choose(
    wanted: Wanted, stored: Recipe | None, known: Sequence[Recipe], cache_dir: Path
) -> Recipe:
    """Return the recipe that a request selects.

    `stored` is the recipe of the collection, if it exists; `known` are all recipes of the database.

    Raises:
        ConfigError: The request contradicts the collection's recipe.
        WeightsNotFound: A new recipe needs weights that are neither given nor can be downloaded.
    """
    _refuse_unknown(wanted.name, [*known, *filter(None, [stored])])
    options = {name: value for name, value in wanted.options.items() if value is not None}
    base = stored or next((r for r in known if r.name == wanted.name), None)
    if wanted.codebook is not None:
        options["codebook"] = _codebook(wanted.codebook, wanted, base, cache_dir)
    if base is None:
        return _new(wanted, options, cache_dir)
    weights = remember(wanted.weights, cache_dir) if wanted.weights else base.weights
    if base.codebook and "pooling" not in options:
        options = {"codebook": (base.codebook, base.codebook_dim), **options}
    recipe = make_recipe(base.backbone, weights, **{**options_of(base, [*options]), **options})
    is_other_name = wanted.name not in (None, base.backbone, base.name)
    if stored and (recipe != stored or is_other_name):
        raise ConfigError(
            f"this collection has {stored.name} and keeps it "
            f"({_difference(wanted, stored, recipe)}): "
            "use another `collection=...`, or `db.reembed(...)`"
        )
    return recipe


def _refuse_unknown(name: str | None, known: Sequence[Recipe]) -> None:
    there = dict.fromkeys([*names(), *(recipe.name for recipe in known)])
    if name is not None and name not in there:
        raise UnknownChoice("extractor", name, there)


def _codebook(file: Path, wanted: Wanted, base: Recipe | None, cache_dir: Path) -> tuple[str, int]:
    """Return a codebook's sha256 and dimension; refuse one learned with another network."""
    codebook = load_codebook(file)
    base = base or make_recipe(wanted.name or DEFAULT, "")
    if codebook.channels != (n := map_channels(base)):
        raise ConfigError(
            f"the codebook {file} is for feature maps of {codebook.channels} channels, "
            f"{base.backbone}'s have {n}: make one with `db.learn_codebook(...)`"
        )
    return remember(file, cache_dir), codebook.dim


def _new(wanted: Wanted, options: Mapping[str, Any], cache_dir: Path) -> Recipe:
    name = wanted.name or DEFAULT
    make_recipe(name, "", **options)  # refuse a wrong option before any download
    return make_recipe(name, remember(wanted.weights or own(name, cache_dir), cache_dir), **options)


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
