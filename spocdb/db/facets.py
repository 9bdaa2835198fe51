"""Facets: which values the metadata of a collection's images have, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.sql import SQL, Composable

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.metadata import matches
from spocdb.filters import Json

# With more images, values are counted in a sample of about this many: 100,000 photographs with
# EXIF take about a second.
MOST_COUNTED = 100_000
# The most values of a key that are listed.
MOST_VALUES = 20
# A key of numbers or dates with at most this many different values is listed by value.
FEW_VALUES = 12

Kind = Literal["values", "number", "date"]


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a key, and how many images have it."""

    value: Any
    n_images: int


@dataclass(frozen=True, slots=True)
class Facet:
    """A key of the metadata and its values, the most frequent first.

    `kind` is "number" or "date" (ISO 8601) if all values are, and they are more than a few; then
    `least` and `greatest` are the range and `values` is empty. `n_values` is the number of
    different values. An element of a list counts as a value.
    """

    key: str
    kind: Kind
    n_values: int
    values: Sequence[FacetValue]
    least: Any = None
    greatest: Any = None


@dataclass(frozen=True, slots=True)
class Facets:
    """The facets of the images that match a filter, by key.

    `n_counted` is the number of images whose values were counted: all, or a sample of more.
    """

    n_counted: int
    facets: Sequence[Facet]


COUNT = """
WITH found AS MATERIALIZED (
    SELECT i.metadata FROM spocdb.images i {sample}
    WHERE i.collection_id = %(collection)s AND {matches}
), counted AS (
    SELECT m.key, v.value, count(*) AS n
    FROM found f, jsonb_each(f.metadata) m,
         jsonb_array_elements(
             CASE jsonb_typeof(m.value) WHEN 'array' THEN m.value ELSE jsonb_build_array(m.value)
             END) v
    WHERE jsonb_typeof(v.value) <> 'object'
    GROUP BY m.key, v.value
)
SELECT key, count(*), bool_and(jsonb_typeof(value) = 'number'),
       bool_and(jsonb_typeof(value) = 'string' AND value #>> '{{}}' ~ '^\\d{{4}}-\\d\\d-\\d\\d'),
       min(CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END)::float8,
       max(CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END)::float8,
       min(value #>> '{{}}' COLLATE "C"), max(value #>> '{{}}' COLLATE "C"),
       (array_agg(jsonb_build_array(value, n) ORDER BY n DESC, value))[:{most}],
       (SELECT count(*) FROM found)
FROM counted GROUP BY key ORDER BY key
"""

SIZE = "SELECT count(*) FROM spocdb.images WHERE collection_id = %s"


def facets(connection: Connection, collection: Collection, filter: Json) -> Facets:
    """Count the values of each key over the images that match a filter."""
    condition, values = matches(connection, filter)
    (n_images,) = one_row(connection, SIZE, [collection.id])
    statement = SQL(COUNT).format(
        sample=_sample(n_images), matches=condition, most=SQL(str(MOST_VALUES))
    )
    rows = connection.execute(statement, values | {"collection": collection.id}).fetchall()
    return Facets(rows[0][-1] if rows else 0, [_facet(*row[:-1]) for row in rows])


def _sample(n_images: int) -> Composable:
    if n_images <= MOST_COUNTED:
        return SQL("")
    return SQL("TABLESAMPLE SYSTEM ({})").format(100.0 * MOST_COUNTED / n_images)


def _facet(
    key: str,
    n_values: int,
    are_numbers: bool,
    are_dates: bool,
    *bounds: Any,
) -> Facet:
    least, greatest, first, last, listed = bounds
    if n_values > FEW_VALUES and are_numbers:
        return Facet(key, "number", n_values, [], least, greatest)
    if n_values > FEW_VALUES and are_dates:
        return Facet(key, "date", n_values, [], first, last)
    return Facet(key, "values", n_values, [FacetValue(*one) for one in listed])
