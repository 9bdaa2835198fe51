"""Evaluations as rows of spocdb.evaluations: add them, list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from spocdb.db.connections import Connection


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """One line of `spocdb eval list`; `exact` and `by_index` are the measure's two figures."""

    id: int
    evaluated_at: datetime
    version: str
    benchmark: str
    variant: str
    dataset: dict[str, Any]
    method: str
    recipe: dict[str, Any]
    projection: dict[str, Any]
    search: dict[str, Any]
    measure: str
    exact: float
    by_index: float | None
    costs: dict[str, Any]


ADD = """
INSERT INTO spocdb.evaluations (version, benchmark, variant, dataset, method, recipe, projection,
                                search, measure, exact, by_index, costs)
VALUES (%(version)s, %(benchmark)s, %(variant)s, %(dataset)s, %(method)s, %(recipe)s,
        %(projection)s, %(search)s, %(measure)s, %(exact)s, %(by_index)s, %(costs)s)
"""

LIST = """
SELECT * FROM spocdb.evaluations
WHERE %(benchmark)s::text IS NULL OR benchmark = %(benchmark)s
ORDER BY evaluated_at, id
"""

CONTENTS = """
SELECT i.id, i.sha256 FROM spocdb.images i
JOIN spocdb.collections c ON c.id = i.collection_id WHERE c.name = %s
"""


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    """Store one evaluation; `values` are StoredEvaluation's fields without id and time."""
    plain = {n: Jsonb(v) if isinstance(v, dict) else v for n, v in values.items()}
    connection.execute(ADD, plain)


def stored(connection: Connection, benchmark: str | None = None) -> list[StoredEvaluation]:
    """List the evaluations, of one benchmark or of all, oldest first."""
    with connection.cursor(row_factory=class_row(StoredEvaluation)) as cursor:
        return cursor.execute(LIST, {"benchmark": benchmark}).fetchall()


def contents(connection: Connection, collection: str) -> dict[int, bytes]:
    """Return the sha256 of a collection's images by their ids."""
    return dict(connection.execute(CONTENTS, [collection]).fetchall())
