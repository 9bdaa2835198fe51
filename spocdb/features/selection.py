"""Selects a command's recipe: the user's options override those of the collection."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spocdb import checks
from spocdb.errors import ConfigError, UnknownChoice
from spocdb.features.backbones import (
    DEFAULT,
    backbone_of,
    choices,
    family_of,
    find,
    is_known,
    split,
)
from spocdb.features.codebook_files import load as load_codebook
from spocdb.features.declarations import Backbone
from spocdb.features.recipes import make_recipe, options_of
from spocdb.features.weights import own, remember
from spocdb.records import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A user's request for an extractor.

    `name` is a backbone, such as "mini" or "onnx:FILE", or an extractor in the database; `options`
    are values of `RecipeOptions`, None where the user gave no value.

    Raises:
        InvalidValue: The name is no text.
    """

    name: str | None = None
    weights: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    codebook: Path | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            checks.text("extractor", self.name)


def choose(
    wanted: Wanted, stored: Recipe | None, known: Sequence[Recipe], cache_dir: Path
) -> Recipe:
    """Return the recipe that a request selects.

    `stored` is the recipe of the collection, if it exists; `known` are all recipes of the database.

    Raises:
        ConfigError: The request contradicts the collection's recipe.
        WeightsNotFound: A new recipe needs weights that are neither given nor can be downloaded.
    """
    wanted = _with_its_file(wanted)
    _refuse_unknown(wanted.name, [*known, *filter(None, [stored])])
    options = {name: value for name, value in wanted.options.items() if value is not None}
    base = stored or next((r for r in known if r.name == wanted.name), None)
    weights = base.weights if base else None
    if wanted.weights:
        family = family_of(wanted.name) if wanted.name else None
        weights = remember(wanted.weights, cache_dir, family)
    if base and (stored or weights == base.weights):
        backbone = backbone_of(base)
    else:
        # A family's network is looked at in its file.
        name = base.backbone if base else wanted.name or DEFAULT
        backbone = find(name, wanted.weights, options.get("size"))
    if wanted.codebook is not None:
        options["codebook"] = _codebook(wanted.codebook, backbone, cache_dir)
    if base is None or weights is None:
        make_recipe(backbone, "", **options)  # refuse a wrong option before any download
        weights = weights or remember(own(backbone, cache_dir), cache_dir)
        recipe = make_recipe(backbone, weights, **options)
        if backbone.recorded:
            _tell(recipe)
        return recipe
    if base.codebook and "pooling" not in options:
        options = {"codebook": (base.codebook, base.codebook_dim), **options}
    recipe = make_recipe(backbone, weights, **{**options_of(base, [*options]), **options})
    is_other_name = wanted.name not in (None, base.backbone, base.name)
    if stored and (recipe != stored or is_other_name):
        raise ConfigError(
            f"this collection has {stored.name} and keeps it "
            f"({_difference(wanted, stored, recipe)}): "
            "use another `collection=...`, or `db.reembed(...)`"
        )
    return recipe


def _tell(recipe: Recipe) -> None:
    """Log what was found out of a network, and the normalisation, which no file says."""
    mean, std = (", ".join(f"{value:g}" for value in rgb) for rgb in (recipe.mean, recipe.std))
    log.info(
        "%s: %s values at %s pixels, mean %s, std %s, %s",
        recipe.backbone,
        recipe.channels,
        recipe.size,
        mean,
        std,
        recipe.interpolation,
    )


def files_of(wanted: Wanted) -> list[str]:
    """Return the files that a request names, as `remember` takes them on any machine."""
    wanted = _with_its_file(wanted)
    family = family_of(wanted.name) if wanted.name else None
    files = [f"{family}:" if family else "", ""]
    named = zip(files, (wanted.weights, wanted.codebook), strict=True)
    return [f"{prefix}{file.absolute()}" for prefix, file in named if file is not None]


def _with_its_file(wanted: Wanted) -> Wanted:
    """Return a request for "onnx:FILE" as one for "onnx" with its file.

    Raises:
        ConfigError: It has another file beside it.
    """
    name, file = split(wanted.name) if wanted.name else (None, None)
    if file is None:
        return wanted
    if wanted.weights is not None:
        raise ConfigError(
            f"the file of {wanted.name} holds the weights: leave out `weights=...`", field="weights"
        )
    return replace(wanted, name=name, weights=file)


def _refuse_unknown(name: str | None, known: Sequence[Recipe]) -> None:
    stored = [recipe.name for recipe in known]
    if name is not None and name not in stored and not is_known(name):
        raise UnknownChoice("extractor", name, dict.fromkeys([*choices(), *stored]))


def _codebook(file: Path, backbone: Backbone, cache_dir: Path) -> tuple[str, int]:
    """Return a codebook's sha256 and dimension; refuse one learned with another network."""
    codebook = load_codebook(file)
    if codebook.channels != (n := backbone.channels(backbone.layer)):
        raise ConfigError(
            f"the codebook {file} is for feature maps of {codebook.channels} channels, "
            f"{backbone.name}'s have {n}: make one with `db.learn_codebook(...)`"
        )
    return remember(file, cache_dir), codebook.dim


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
