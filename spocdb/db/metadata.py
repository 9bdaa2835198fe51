"""Metadata of images: filters as SQL, counts of keys, why a filter finds nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from psycopg.sql import SQL, Composable
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.filters import Json, keys, spelled

log = logging.getLogger(__name__)

# Each condition that is explained reads the metadata of the whole collection.
MOST_EXPLAINED = 5
# The most keys that a message names.
MOST_NAMED = 20
# Names of JSON types in messages, singular and plural.
NAMES = {
    "string": ("text", "texts"),
    "number": ("number", "numbers"),
    "boolean": ("truth value", "truth values"),
    "array": ("list", "lists"),
    "object": ("object", "objects"),
    "null": ("null", "nulls"),
}


@dataclass(frozen=True, slots=True)
class KeyCount:
    """A key of the metadata, and how many images have it."""

    key: str
    n_images: int


HAS_KEY = """
SELECT EXISTS (SELECT FROM spocdb.images WHERE collection_id = %s AND metadata #> %s IS NOT NULL)
"""

KEYS = """
SELECT k.key, count(*) AS n_images
FROM (SELECT metadata #> %s AS found FROM spocdb.images WHERE collection_id = %s) i,
     jsonb_object_keys(CASE jsonb_typeof(i.found) WHEN 'object' THEN i.found ELSE '{}' END) k (key)
GROUP BY k.key ORDER BY n_images DESC, k.key
"""

# Of a list also its elements, because a list matches if one of its elements does.
KINDS = """
SELECT jsonb_typeof(v.value), min(left(v.value::text, 40))
FROM (SELECT metadata #> %s AS found FROM spocdb.images WHERE collection_id = %s) i,
     LATERAL (SELECT i.found
              UNION ALL
              SELECT e.value FROM jsonb_array_elements(
                  CASE jsonb_typeof(i.found) WHEN 'array' THEN i.found ELSE '[]' END) e) v (value)
WHERE v.value IS NOT NULL
GROUP BY 1 ORDER BY count(*) DESC
"""


def matches(connection: Connection, filter: Json) -> tuple[Composable, dict[str, Any]]:
    """Return a filter as a condition on `i.metadata`, and its parameters.

    Raises:
        ConfigError: a condition is malformed.
    """
    if not filter:
        return SQL("true"), {}
    if isinstance(filter, dict):
        return SQL("i.metadata @> %(filter)s"), {"filter": Jsonb(filter)}
    # Compiled here: a generic plan would compile the filter again for each row.
    (path,) = one_row(connection, "SELECT spocdb.filter_path(%s)::text", [Jsonb(filter)])
    return SQL("i.metadata @@ %(filter)s::jsonpath"), {"filter": path}


def counts(
    connection: Connection, collection: Collection, key: Sequence[str] = ()
) -> list[KeyCount]:
    """Count the images that have each key below the key path `key`, the most frequent first."""
    return [KeyCount(*row) for row in connection.execute(KEYS, [list(key), collection.id])]


def explain(connection: Connection, collection: Collection, filter: Json, n_found: int) -> None:
    """Log why a filter finds nothing: a key that no image has, or values of another type.

    If something was found, check only keys that must not exist: a misspelt one matches all images.
    """
    said: set[str] = set()
    for key, operator, value in islice(keys(filter), MOST_EXPLAINED):
        if n_found and not (operator == "exists" and value is False):
            continue
        line: str | None = None
        if unknown := _first_unknown(connection, collection, key):
            line = _unknown(connection, collection, unknown)
        elif operator != "exists":
            line = _other_kind(connection, collection, key, value)
        if line and line not in said:
            said.add(line)
            log.warning("%s", line)


def _first_unknown(
    connection: Connection, collection: Collection, key: Sequence[str]
) -> Sequence[str]:
    """Return the shortest prefix of a key path that no image has; empty if there is none."""
    for n in range(1, len(key) + 1):
        if not one_row(connection, HAS_KEY, [collection.id, list(key[:n])])[0]:
            return key[:n]
    return ()


def _unknown(connection: Connection, collection: Collection, key: Sequence[str]) -> str:
    outer = [*key[:-1]]
    known = [count.key for count in counts(connection, collection, outer)]
    named = ", ".join(sorted(spelled([*outer, k]) for k in known[:MOST_NAMED]))
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    if not known and not outer:
        return "no image has any metadata"
    there = f"there are {named}{more}" if known else "there are none"
    return f"no image has the key {spelled(key)}; {there}"


def _other_kind(
    connection: Connection, collection: Collection, key: Sequence[str], value: Any
) -> str | None:
    kinds: dict[str, str] = dict(connection.execute(KINDS, [list(key), collection.id]).fetchall())
    wanted = _kinds(value)
    if wanted & kinds.keys():
        return None
    there = ", ".join(f"{NAMES[kind][1]} such as {example}" for kind, example in kinds.items())
    asked = " or ".join(sorted(NAMES[kind][0] for kind in wanted))
    return f"no image has a {asked} as {spelled(key)}; there are {there}"


def _kinds(value: Any) -> set[str]:
    """Return the JSON types that a value can equal; for a list, also the types of its elements."""
    if isinstance(value, list | tuple):
        return {"array"}.union(*map(_kinds, value))
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
    return {kinds.get(type(value), "object")}
