"""Projections as rows: immutable versions, stored, loaded, listed, dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Literal
from psycopg.types.json import Jsonb

from spocdb import checks
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import Rows, copy_out
from spocdb.db.vectors import floats, vector
from spocdb.errors import DatabaseError, ProjectionNotFound
from spocdb.records import Projection, ProjectionKind
from spocdb.soundness import fault, scarcity


@dataclass(frozen=True, slots=True)
class ProjectionSummary:
    """One line of `spocdb pca list`. `embedded` are the collections that have its embeddings.

    `fitted_on` is empty for a role that may not read all collections that it was fitted on.
    """

    id: int
    kind: ProjectionKind
    extractor: str
    dim: int
    n_samples: int
    settings: dict[str, Any]
    fitted_on: dict[str, Any]
    fingerprint: str
    created_at: datetime
    embedded: list[str]
    active: list[str]

    @property
    def scarcity(self) -> str | None:
        """Return that it was fitted on few images or pairs for its dimensions; None if not."""
        return scarcity(self.kind, self.dim, self.n_samples, self.settings, self.fitted_on)


LIST = """
SELECT p.id, p.kind, e.name AS extractor, p.dim, p.n_samples, p.settings,
       spocdb.fitted_on(p.id) AS fitted_on, p.fingerprint, p.created_at,
       ARRAY(SELECT c.name FROM spocdb.embedding_tables t
             JOIN spocdb.collections c ON c.id = t.collection_id
             WHERE t.projection_id = p.id ORDER BY 1) AS embedded,
       ARRAY(SELECT c.name FROM spocdb.collections c
             WHERE c.active_projection_id = p.id ORDER BY 1) AS active
FROM spocdb.projections p JOIN spocdb.extractors e ON e.id = p.extractor_id
ORDER BY p.id
"""

FIND = "SELECT id FROM spocdb.projections WHERE extractor_id = %s AND fingerprint = %s"

RAW = "SELECT id FROM spocdb.projections WHERE extractor_id = %s AND kind = 'raw'"

ADD = """
INSERT INTO spocdb.projections
    (extractor_id, kind, dim, mean, n_samples, settings, fitted_on, fingerprint)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
RETURNING id
"""

PROJECTION = """
SELECT p.kind, p.dim, p.fingerprint, p.mean, p.n_samples, p.settings, e.dim
FROM spocdb.projections p JOIN spocdb.extractors e ON e.id = p.extractor_id
WHERE p.id = %s
"""

COMPONENTS = """
SELECT position, component, scale, singular_value, explained
FROM spocdb.projection_components WHERE projection_id = %s ORDER BY position
"""

# Locks the extractor row, so that concurrent fits cannot store the same projection twice.
LOCK_EXTRACTOR = "SELECT FROM spocdb.extractors WHERE id = %s FOR NO KEY UPDATE"

ADD_COMPONENT = """
INSERT INTO spocdb.projection_components
    (projection_id, position, component, scale, singular_value, explained)
VALUES (%s, %s, %s, %s, %s, %s)
"""

# Distinct contents: copies of an image count once. The order makes the sums, and so the
# fingerprint, reproducible.
SAMPLES = """
COPY (
    SELECT d.sha256, d.descriptor FROM spocdb.descriptors d
    WHERE d.extractor_id = {extractor} AND EXISTS (
        SELECT FROM spocdb.images i
        WHERE i.sha256 = d.sha256 AND i.collection_id = ANY ({collections}))
    ORDER BY d.sha256
) TO STDOUT (FORMAT binary)
"""


def store(
    connection: Connection, extractor_id: int, projection: Projection, fitted_on: dict[str, Any]
) -> int:
    """Store a fitted projection and return its id; an equal projection is stored only once."""
    with connection.transaction():
        connection.execute(LOCK_EXTRACTOR, [extractor_id])
        same = [extractor_id, projection.fingerprint]
        if found := connection.execute(FIND, same).fetchone():
            return int(found[0])
        values = [
            extractor_id,
            projection.kind,
            projection.dim,
            vector(projection.mean),
            projection.n_samples,
            Jsonb(projection.settings),
            Jsonb(fitted_on),
            projection.fingerprint,
        ]
        number = int(one_row(connection, ADD, values)[0])
        with connection.cursor() as cursor:
            cursor.executemany(ADD_COMPONENT, list(_component_rows(number, projection)))
    return number


def _component_rows(projection_id: int, projection: Projection) -> Iterator[tuple[Any, ...]]:
    columns = (projection.scale, projection.singular_values, projection.explained)
    for position, component in enumerate(projection.components):
        yield projection_id, position, vector(component), *(float(c[position]) for c in columns)


def load(connection: Connection, projection_id: int) -> Projection:
    """Read a projection back, and check its numbers.

    Raises:
        ProjectionNotFound: there is no projection with this id.
        InvalidValue: the id is no integer.
        DatabaseError: its rows were changed since it was stored, or cannot be used.
    """
    row = connection.execute(PROJECTION, [checks.projection(projection_id, "number")]).fetchone()
    if row is None:
        raise ProjectionNotFound(f"there is no projection {projection_id}: see `db.pca.list()`")
    kind, dim, fingerprint, mean, n_samples, settings, channels = row
    rows = connection.execute(COMPONENTS, [projection_id]).fetchall()
    vectors = [floats(r[1]) for r in rows]
    if len(rows) != (0 if kind == "raw" else dim) or [r[0] for r in rows] != [*range(len(rows))]:
        raise _damaged(projection_id, f"it has {len(rows)} of {dim} components")
    if any(len(vector) != channels for vector in vectors):
        raise _damaged(projection_id, f"its components have not all {channels} dimensions")
    components = np.array(vectors, np.float32).reshape(-1, channels)
    scale, singular_values, explained = (
        np.array([r[2:] for r in rows], np.float64).reshape(-1, 3).T.copy()
    )
    projection = Projection(
        floats(mean), components, scale, singular_values, explained, n_samples, settings, kind
    )
    if found := fault(projection, channels):
        raise _damaged(projection_id, found)
    if kind != "raw" and projection.fingerprint != fingerprint:
        raise _damaged(projection_id, "its numbers are not those that were stored")
    return projection


@contextmanager
def blamed(connection: Connection, projection_id: int) -> Iterator[None]:
    """On a data error in the block, check the projection and report it if it is damaged.

    SQL projects without a check, which would take longer than a search.

    Raises:
        DatabaseError: the projection is damaged.
    """
    try:
        yield
    except psycopg.DataError:
        load(connection, projection_id)
        raise


def _damaged(projection_id: int, what: str) -> DatabaseError:
    return DatabaseError(
        f"projection {projection_id} cannot be used: {what}: activate another where it is active, "
        f"`db.pca.drop({projection_id})`, then fit or import it again"
    )


def summaries(connection: Connection) -> list[ProjectionSummary]:
    """List all projections, oldest first."""
    with connection.cursor(row_factory=class_row(ProjectionSummary)) as cursor:
        return cursor.execute(LIST).fetchall()


def raw(connection: Connection, extractor_id: int) -> int:
    """Return the id of an extractor's raw projection."""
    return int(one_row(connection, RAW, [extractor_id])[0])


def get(connection: Connection, projection_id: int) -> ProjectionSummary:
    """Return one projection's summary.

    Raises:
        ProjectionNotFound: there is no projection with this id.
        InvalidValue: the id is no integer.
    """
    wanted = checks.projection(projection_id, "number")
    for summary in summaries(connection):
        if summary.id == wanted:
            return summary
    raise ProjectionNotFound(f"there is no projection {projection_id}: see `db.pca.list()`")


def drop(connection: Connection, projection_id: int) -> None:
    """Delete a projection that embeds no collection.

    Raises:
        ProjectionNotFound: there is no projection with this id.
        DatabaseError: it is the extractor's raw projection, or still embeds a collection.
    """
    summary = get(connection, projection_id)
    if summary.kind == "raw":
        raise DatabaseError(f"projection {projection_id} is the extractor's raw one and stays")
    if summary.embedded:
        raise DatabaseError(
            f"projection {projection_id} still embeds {', '.join(summary.embedded)}: "
            f"run `db.pca.drop({projection_id}, collection=NAME)` for each first"
        )
    connection.execute("DELETE FROM spocdb.projections WHERE id = %s", [projection_id])


def samples(
    connection: Connection, extractor_id: int, channels: int, collection_ids: list[int], n_rows: int
) -> Iterator[Rows]:
    """Stream `sha256` and `descriptor` (n, C) of the distinct images in the given collections."""
    statement = SQL(SAMPLES).format(
        extractor=Literal(extractor_id), collections=Literal(collection_ids)
    )
    fields = {"sha256": "sha256", "descriptor": f"halfvec({channels})"}
    return copy_out(connection, statement, fields, n_rows)
