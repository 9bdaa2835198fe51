"""What persons decided about pairs of contents, which holds whatever happens to the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection

Verdict = Literal["same", "different", "keep both"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about two contents, named by sha256 in hexadecimal digits."""

    a: str
    b: str
    verdict: Verdict
    decided_at: datetime
    decided_by: str


DECIDE = """
INSERT INTO spocdb.duplicate_decisions (a, b, verdict) VALUES (%s, %s, %s)
ON CONFLICT (a, b) DO UPDATE
SET verdict = excluded.verdict, decided_at = now(), decided_by = current_user
"""

FORGET = "DELETE FROM spocdb.duplicate_decisions WHERE a = %s AND b = %s"

DECISIONS = """
SELECT encode(d.a, 'hex') AS a, encode(d.b, 'hex') AS b, d.verdict, d.decided_at, d.decided_by
FROM spocdb.duplicate_decisions d
WHERE EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = %(collection)s AND i.sha256 = d.a)
  AND EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = %(collection)s AND i.sha256 = d.b)
ORDER BY d.decided_at, d.a, d.b
"""

# By images as they are now; of pairs of which both are there.
VERDICTS = """
SELECT p.one, p.other, d.verdict
FROM unnest(%(ones)s::bigint[], %(others)s::bigint[]) p (one, other)
JOIN spocdb.images i ON i.id = p.one AND i.collection_id = %(collection)s
JOIN spocdb.images o ON o.id = p.other AND o.collection_id = %(collection)s
LEFT JOIN spocdb.duplicate_decisions d
    ON d.a = least(i.sha256, o.sha256) AND d.b = greatest(i.sha256, o.sha256)
"""


def decide(connection: Connection, contents: Sequence[bytes], verdict: Verdict | None) -> None:
    """Store a decision about two contents in place of an earlier one; None forgets it."""
    a, b = sorted(contents)
    if verdict is None:
        connection.execute(FORGET, [a, b])
    else:
        connection.execute(DECIDE, [a, b, verdict])


def decisions(connection: Connection, collection: Collection) -> list[Decision]:
    """List the decisions about contents that the collection has, the oldest first."""
    with connection.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(DECISIONS, {"collection": collection.id}).fetchall()


def verdicts(
    connection: Connection, collection: Collection, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Verdict | None]:
    """Return what was decided about pairs of images; a pair is left out if one is gone."""
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    values = {"ones": ones, "others": others, "collection": collection.id}
    rows = connection.execute(VERDICTS, values).fetchall()
    return {(one, other): verdict for one, other, verdict in rows}
