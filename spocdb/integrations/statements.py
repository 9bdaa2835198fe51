"""SQL text that attaches a table, for any tool that runs an application's migrations.

The text is made without a database and has no parameters, so that any driver can run it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, LiteralString

from psycopg.sql import SQL, Composable, Literal
from psycopg.types.json import Jsonb

from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted, choose
from spocdb.records import Recipe
from spocdb.settings import from_environment


def attach_statements(
    table: str,
    *,
    key: str,
    image: str,
    collection: str | None = None,
    extractor: str = "mini",
    weights: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    urls: bool = False,
    condition: str | None = None,
    metadata: Sequence[str] = (),
    allow_private: bool = False,
    **recipe: Any,
) -> list[str]:
    """Return the statements that attach a table, to be run in this order.

    `table` and `condition` are SQL; `key`, `image` and `metadata` are plain names of columns. The
    other arguments are those of `spocdb attach`; `recipe` are its options of an extractor, such as
    `size`. The network is not loaded: the worker reports weights that do not fit it.

    Raises:
        ConfigError: the extractor or one of its options is unknown or invalid.
        WeightsNotFound: the extractor's weights are missing.
    """
    wanted = Wanted(extractor, None if weights is None else Path(weights), recipe)
    chosen = choose(wanted, None, (), from_environment().cache_dir)
    options: dict[LiteralString, object] = {
        "collection": collection,
        "extractor": chosen.name,
        "root": None if root is None else os.fspath(root),
        "urls": urls,
        "condition": condition,
        "metadata": list(metadata),
        "allow_private": allow_private,
    }
    return [_add_extractor(chosen), _call("attach", [table, key, image], options)]


def detach_statement(collection: str) -> str:
    """Return the statement that detaches a collection's table."""
    return _call("detach", [collection])


def _add_extractor(recipe: Recipe) -> str:
    stored = Jsonb(asdict(recipe))
    values = [recipe.name, recipe.fingerprint, stored, channels(recipe)]
    return _call("add_extractor", values)


def _call(
    function: LiteralString,
    values: Sequence[object],
    options: Mapping[LiteralString, object] = MappingProxyType({}),
) -> str:
    arguments: list[Composable] = [Literal(value) for value in values]
    # Options that are not set keep the function's default.
    told = {name: value for name, value in options.items() if value}
    arguments += [SQL(name) + SQL(" => ") + Literal(value) for name, value in told.items()]
    call = SQL("SELECT spocdb.") + SQL(function) + SQL("({})").format(SQL(", ").join(arguments))
    return call.as_string(None)
