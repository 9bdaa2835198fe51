"""Which extractor a request means, among those that the database knows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spocdb.db import collections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features import selection
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted
from spocdb.records import Recipe


@dataclass(frozen=True, slots=True)
class Chosen:
    """The recipe that a request means; `is_new` if the database does not know it."""

    recipe: Recipe
    is_new: bool

    def prove(self, load: Callable[[Recipe], object]) -> None:
        """Load a new recipe's network, so that weights that do not fit are never stored."""
        if self.is_new:
            load(self.recipe)


def choose(
    connection: Connection, wanted: Wanted, found: Collection | None, cache_dir: Path
) -> Chosen:
    """Choose the recipe that the options ask for, or that of the collection.

    Raises:
        ConfigError: An option is unknown, out of range, or contradicts the extractor.
        WeightsNotFound: The weights are not on this machine and cannot be downloaded.
    """
    known = collections.recipes(connection)
    recipe = selection.choose(wanted, found.recipe if found else None, known, cache_dir)
    return Chosen(recipe, recipe not in known)


def create(
    connection: Connection,
    name: str,
    chosen: Chosen,
    wanted: Wanted,
    cache_dir: Path,
    load: Callable[[Recipe], object],
    partitions: int | None = None,
) -> Collection:
    """Create a collection with the chosen extractor, once its network was loaded.

    Raises:
        ConfigError: Another process created it meanwhile with another recipe, or another number of
            partitions.
    """
    chosen.prove(load)
    recipe = chosen.recipe
    made = collections.create(connection, name, recipe, channels(recipe), partitions or 1)
    collections.check_partitions(made, partitions)
    if made.recipe != recipe:
        # Raises the error of options that contradict the collection.
        choose(connection, wanted, made, cache_dir)
    return made
