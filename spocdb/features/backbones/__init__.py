"""The networks that a recipe can name, one file per family.

Each module of this package declares its networks in `BACKBONES`, or a family of them that is not
declared one by one in `FAMILIES`, and they are listed only there. Another package offers its own as
entry points, see `features/offered.py`.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, UnknownChoice
from spocdb.features import offered
from spocdb.features.declarations import Backbone, Family

if TYPE_CHECKING:
    from spocdb.records import Recipe

DEFAULT = "vgg19"

log = logging.getLogger(__name__)


def find(name: str, file: Path | None = None, size: int | None = None) -> Backbone:
    """Return a backbone; a family's is looked at, in `file` and at the input size asked for.

    Raises:
        ConfigError: No backbone has this name (the message lists them all), the file does not hold
            such a network, or the package that offers it cannot be loaded.
        WeightsNotFound: The family needs a file.
    """
    name, told = split(name)
    found = _named(name)
    return found.look(found, name, file or told, size) if isinstance(found, Family) else found


def backbone_of(recipe: "Recipe") -> Backbone:
    """Return a recipe's backbone, as it is declared or as the recipe describes it.

    Raises:
        ConfigError: The backbone is unknown, or the package that offers it cannot be loaded.
    """
    found = _named(recipe.backbone)
    return found.recalled(recipe) if isinstance(found, Family) else found


def split(name: str) -> tuple[str, Path | None]:
    """Return the backbone and the file of a user's text, such as "onnx:FILE" or "mini".

    Raises:
        ConfigError: The package that offers it cannot be loaded, or no file is named.
    """
    prefix, colon, rest = name.partition(":")
    if colon and is_known(prefix):
        found = _named(prefix)
        if isinstance(found, Family) and found.of_files:
            if not rest:
                raise ConfigError(f"{name} names no file: write {prefix}:FILE", field="extractor")
            return prefix, _home(Path(rest))
    return name, None


def _home(path: Path) -> Path:
    """Replace a leading ~ by a user's home, if there is such a user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def family_of(backbone: str) -> str | None:
    """Return the family of files that a recipe's backbone is of, None for any other network.

    Raises:
        ConfigError: The package that offers it cannot be loaded.
    """
    found = _named(backbone) if is_known(backbone) else None
    return backbone if isinstance(found, Family) and found.of_files else None


def is_known(name: str) -> bool:
    """Return whether a backbone or the family of one has this name."""
    prefix, colon, _ = name.partition(":")
    declared = _declared().get(prefix)
    if declared is None:
        return prefix in offered.entries([*_declared()])
    return isinstance(declared, Family) or not colon


def names() -> Sequence[str]:
    """Return the names of all backbones that spocdb declares, the default first."""
    each = (name for name, found in _declared().items() if isinstance(found, Backbone))
    return sorted(each, key=lambda name: name != DEFAULT)


def families() -> Sequence[Family]:
    """Return the families that spocdb declares."""
    return [found for found in _declared().values() if isinstance(found, Family)]


def choices() -> Sequence[str]:
    """Return all that a user may name: backbones, forms of families, what packages offer."""
    forms = [family.form for family in families()]
    return [*names(), *forms, *offered.entries([*_declared()])]


def presets() -> Sequence[Backbone]:
    """Return all backbones, also those of other packages; log and leave out those that fail."""
    found = [find(name) for name in names()]
    for name in offered.entries([*_declared()]):
        try:
            each = _named(name)
        except ConfigError as error:
            log.warning("%s", error)
            continue
        if isinstance(each, Backbone):
            found.append(each)
    return found


def _named(name: str) -> Backbone | Family:
    prefix, colon, _ = name.partition(":")
    if not is_known(name):
        raise UnknownChoice("extractor", name, choices())
    found = _declared().get(prefix) or _offered(prefix)
    if colon and isinstance(found, Backbone):
        raise UnknownChoice("extractor", name, choices())
    return found


@cache
def _offered(name: str) -> Backbone | Family:
    """Load what another package offers under a name."""
    found = offered.load(name)
    if isinstance(found, Backbone | Family):
        called = found.name if isinstance(found, Backbone) else found.prefix
        if called == name:
            return found
        raise offered.broken(name, f"it is called {called} there")
    raise offered.broken(name, f"it is of type {type(found).__name__}, not a Backbone or a Family")


@cache
def _declared() -> Mapping[str, Backbone | Family]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    backbones = {b.name: b for module in modules for b in getattr(module, "BACKBONES", ())}
    return backbones | {f.prefix: f for module in modules for f in getattr(module, "FAMILIES", ())}
