"""Networks of other packages: entry points of the group `spocdb.backbones`.

An entry point's name is the backbone's name, or the prefix of a family; its value is a `Backbone`
or a `Family`. Listing the names imports nothing; a package is imported once its network is asked
for.
"""

import logging
from collections.abc import Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError
from spocdb.text import one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "spocdb.backbones"

log = logging.getLogger(__name__)


def entries(taken: Collection[str]) -> "Mapping[str, EntryPoint]":
    """Return the entry points by name, without the names that are taken by spocdb."""
    return {name: entry for name, entry in _all().items() if name not in taken}


def load(name: str) -> object:
    """Import the package that offers a name, and return what it offers.

    Raises:
        ConfigError: The package cannot be imported.
    """
    try:
        return _all()[name].load()
    # Another package may raise any exception while it is imported.
    except Exception as error:
        raise broken(name, f"{type(error).__name__}: {error}") from error


def broken(name: str, why: str) -> ConfigError:
    """Return the error for an entry point that cannot be used."""
    return ConfigError(
        f"the extractor {name} of the package {_package(_all()[name])} cannot be loaded "
        f"({one_line(why)}): repair or uninstall that package"
    )


@cache
def _all() -> "Mapping[str, EntryPoint]":
    # Imported here: it takes longer than all that `spocdb --help` needs of this package.
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=_package):
        if entry.name in found:
            first, second = _package(found[entry.name]), _package(entry)
            log.warning("the extractor %s is of %s, not of %s", entry.name, first, second)
        found.setdefault(entry.name, entry)
    return found


def _package(entry: "EntryPoint") -> str:
    return entry.dist.name if entry.dist else entry.value
