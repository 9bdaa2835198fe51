"""Which extractor a request means, among those that the database knows."""

from collections.abc import Callable
from pathlib import Path

from spocdb.db import collections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features import selection
from spocdb.features.selection import Wanted
from spocdb.records import Recipe


def choose(
    connection: Connection, wanted: Wanted, found: Collection | None, cache_dir: Path
) -> Recipe:
    """Return the recipe that the options ask for, or that of the collection.

    Raises:
        ConfigError: An option is unknown, out of range, or contradicts the extractor.
        WeightsNotFound: The weights are not on this machine and cannot be downloaded.
    """
    stored = found.recipe if found else None
    return selection.choose(wanted, stored, _known(connection), cache_dir)


def prove(connection: Connection, recipe: Recipe, load: Callable[[Recipe], object]) -> None:
    """Load a new recipe's network, so that weights that do not fit are never stored."""
    if recipe not in _known(connection):
        load(recipe)


def _known(connection: Connection) -> list[Recipe]:
    return [extractor.recipe for extractor in collections.extractor_summaries(connection)]
