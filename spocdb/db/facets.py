"""Facets: which values the metadata of a collection's images have, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.sql import SQL

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.metadata import matches
from spocdb.filters import Json

# The most images whose values are counted, the newest that match. 100,000 photographs with EXIF
# take about a second.
MOST_COUNTED = 100_000
# The most keys that are listed, and the most values of a key. Anybody may write metadata.
MOST_KEYS, MOST_VALUES = 50, 20
# Characters of the longest key and value (as JSON) that are listed.
LONGEST = 200
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
    different values; `values` has at most 20 of them, and none longer than 200 characters. An
    element of a list counts as a value.
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

    `n_counted` images were counted: all, or the newest of more if `is_partial`. `n_keys` is the
    number of different keys; `facets` has the 50 that occur most, and none longer than 200
    characters.
    """

    n_counted: int
    is_partial: bool
    n_keys: int
    facets: Sequence[Facet]


COUNT = """
WITH found AS MATERIALIZED (
    SELECT i.metadata FROM spocdb.images i
    WHERE i.collection_id = %(collection)s AND {matches}
    ORDER BY i.id DESC LIMIT %(most_counted)s + 1
), counted AS (
    SELECT m.key, v.value, count(*) AS n, length(v.value::text) <= %(longest)s AS is_short
    FROM (SELECT metadata FROM found LIMIT %(most_counted)s) f, jsonb_each(f.metadata) m,
         jsonb_array_elements(
             CASE jsonb_typeof(m.value) WHEN 'array' THEN m.value ELSE jsonb_build_array(m.value)
             END) v
    WHERE jsonb_typeof(v.value) <> 'object'
    GROUP BY m.key, v.value
), keys AS (
    SELECT key, sum(n) AS n_found, count(*) AS n_values,
           bool_and(is_short AND jsonb_typeof(value) = 'number') AS are_numbers,
           bool_and(is_short AND jsonb_typeof(value) = 'string'
                    AND value #>> '{{}}' ~ '^\\d{{4}}-\\d\\d-\\d\\d') AS are_dates,
           min(value::numeric) FILTER (WHERE is_short AND jsonb_typeof(value) = 'number') AS least,
           max(value::numeric) FILTER (WHERE is_short AND jsonb_typeof(value) = 'number')
               AS greatest,
           min(value #>> '{{}}' COLLATE "C") FILTER (WHERE is_short) AS first,
           max(value #>> '{{}}' COLLATE "C") FILTER (WHERE is_short) AS last,
           coalesce((array_agg(jsonb_build_array(value, n) ORDER BY n DESC, value)
                     FILTER (WHERE is_short))[:%(most_values)s], '{{}}') AS listed
    FROM counted GROUP BY key
), chosen AS (
    SELECT * FROM keys WHERE length(key) <= %(longest)s
    ORDER BY n_found DESC, key LIMIT %(most_keys)s
)
SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM keys),
       c.key, c.n_values, c.are_numbers, c.are_dates, c.least::float8, c.greatest::float8,
       c.first, c.last, c.listed
FROM (SELECT) AS always LEFT JOIN chosen c ON true ORDER BY c.key
"""


def facets(connection: Connection, collection: Collection, filter: Json) -> Facets:
    """Count the values of each key over the images that match a filter."""
    condition, values = matches(connection, filter)
    bounds = {
        "most_counted": MOST_COUNTED,
        "most_keys": MOST_KEYS,
        "most_values": MOST_VALUES,
        "longest": LONGEST,
    }
    values |= bounds | {"collection": collection.id}
    rows = connection.execute(SQL(COUNT).format(matches=condition), values).fetchall()
    n_found, n_keys = rows[0][:2]
    found = [_facet(*row[2:]) for row in rows if row[2] is not None]
    return Facets(min(n_found, MOST_COUNTED), n_found > MOST_COUNTED, n_keys, found)


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
