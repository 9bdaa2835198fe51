"""Metadata of duplicates that their keepers lack."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.records import EXIF_ALWAYS


@dataclass(frozen=True, slots=True)
class MetadataOffer:
    """A value that the image `from_id` has under a key, and its keeper at `path` has not.

    The keeper takes it over, or it stays with `kept`: its own value, or that of a nearer duplicate.
    """

    keeper_id: int
    path: str
    key: str
    value: Any
    from_id: int
    is_taken: bool
    kept: Any


# Of the groups that a page of keepers has. Groups come and go meanwhile.
LAST_KEEPER = "SELECT max(keeper_id) FROM spocdb.duplicate_groups(%(name)s, %(after)s, %(n)s)"

# Each value once, as the nearest duplicate has it. Size and orientation belong to a file.
OFFERS = """
WITH offered AS (
    SELECT DISTINCT ON (g.keeper_id, e.key, e.value)
           g.keeper_id, e.key, e.value, g.image_id, g.distance
    FROM spocdb.duplicate_groups(%(name)s, %(after)s, %(n)s) g
    JOIN spocdb.images i ON i.id = g.image_id
    CROSS JOIN LATERAL jsonb_each(i.metadata) e
    WHERE g.image_id <> g.keeper_id AND e.value <> 'null' AND e.key <> ALL (%(always)s)
      AND (%(keys)s::text[] = '{}' OR e.key = ANY (%(keys)s))
    ORDER BY g.keeper_id, e.key, e.value, g.distance, g.image_id
), ranked AS (
    SELECT o.*, row_number() OVER nearest AS place, first_value(o.value) OVER nearest AS first
    FROM offered o
    WINDOW nearest AS (PARTITION BY o.keeper_id, o.key ORDER BY o.distance, o.image_id)
)
SELECT r.keeper_id, k.path, r.key, r.value, r.image_id AS from_id,
       NOT k.metadata ? r.key AND r.place = 1 AS is_taken,
       CASE WHEN k.metadata ? r.key THEN k.metadata -> r.key
            WHEN r.place > 1 THEN r.first END AS kept
FROM ranked r JOIN spocdb.images k ON k.id = r.keeper_id
WHERE k.metadata -> r.key IS DISTINCT FROM r.value
ORDER BY r.keeper_id, r.key, r.place
"""

# What the image got meanwhile is its own.
TAKE = """
UPDATE spocdb.images i
SET metadata = t.taken || i.metadata, taken_over = i.taken_over || t.taken
FROM unnest(%s::bigint[], %s::jsonb[]) t (id, taken)
WHERE i.id = t.id
"""


def last_keeper(connection: Connection, collection: Collection, after: int, n: int) -> int | None:
    """Return the largest keeper of a page of n groups after a keeper; None if there are none.

    Raises:
        DuplicatesNotFound: duplicates were not looked for.
    """
    values = {"name": collection.name, "after": after, "n": n}
    found: int | None = one_row(connection, LAST_KEEPER, values)[0]
    return found


def offers(
    connection: Connection, collection: Collection, after: int, n: int, keys: Sequence[str]
) -> list[MetadataOffer]:
    """Return what the duplicates of a page of groups have and their keepers have not."""
    values = {
        "name": collection.name,
        "after": after,
        "n": n,
        "keys": list(keys),
        "always": list(EXIF_ALWAYS),
    }
    with connection.cursor(row_factory=class_row(MetadataOffer)) as cursor:
        return cursor.execute(OFFERS, values).fetchall()


def take(connection: Connection, offers: Iterable[MetadataOffer]) -> None:
    """Give keepers what they take over."""
    taken: dict[int, dict[str, Any]] = defaultdict(dict)
    for offer in offers:
        if offer.is_taken:
            taken[offer.keeper_id][offer.key] = offer.value
    connection.execute(TAKE, [[*taken], [Jsonb(one) for one in taken.values()]])
