"""Descriptors of images to learn from: with a label, a value of their metadata, or simply some."""

from collections.abc import Iterator
from typing import Any

from psycopg.sql import SQL, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.copy import Rows, copy_out

# Distinct contents: a copy of an image is no match. A content with two labels belongs to no class.
# The order does not depend on the database's collation, so that the same images give the same sums
# anywhere.
LABELLED = """
COPY (
    WITH labelled AS (
        SELECT i.sha256, min(i.metadata ->> {key}) AS label
        FROM spocdb.images i JOIN spocdb.descriptors d USING (sha256)
        WHERE i.collection_id = ANY ({collections}) AND d.extractor_id = {extractor}
          AND i.metadata ->> {key} <> ''
        GROUP BY i.sha256
        HAVING count(DISTINCT i.metadata ->> {key}) = 1
    ), counted AS (
        SELECT sha256, label, count(*) OVER (PARTITION BY label) AS n_images FROM labelled
    ), matched AS (
        SELECT sha256, dense_rank() OVER (ORDER BY label COLLATE "C") AS class
        FROM counted WHERE n_images > 1
    )
    SELECT m.class, d.descriptor
    FROM matched m JOIN spocdb.descriptors d USING (sha256)
    WHERE d.extractor_id = {extractor}
    ORDER BY m.class, m.sha256
) TO STDOUT (FORMAT binary)
"""

# The first by hash are a random choice, and the same one every time.
SOME = """
COPY (
    SELECT DISTINCT ON (i.sha256) i.id, i.sha256, d.descriptor
    FROM spocdb.images i JOIN spocdb.descriptors d USING (sha256)
    WHERE i.collection_id = ANY ({collections}) AND d.extractor_id = {extractor}
    ORDER BY i.sha256, i.id LIMIT {n}
) TO STDOUT (FORMAT binary)
"""


def labelled(
    connection: Connection, collections: list[Collection], key: str, n_rows: int
) -> Iterator[Rows]:
    """Stream `class` and `descriptor` (n, C) of the distinct images with a label, by class.

    `class` numbers the values of the metadata key that several images have, from 1. Images without
    a value, with several, or alone in their class are left out. The collections have one extractor.
    """
    fields = {"class": "bigint", "descriptor": _descriptor(collections)}
    return copy_out(connection, _filled(LABELLED, collections, key=key), fields, n_rows)


def some(connection: Connection, collections: list[Collection], n: int) -> list[Rows]:
    """Return `id`, `sha256` and `descriptor` (n, C) of up to `n` distinct images, by hash."""
    fields = {"id": "bigint", "sha256": "sha256", "descriptor": _descriptor(collections)}
    return list(copy_out(connection, _filled(SOME, collections, n=n), fields, n))


def _descriptor(collections: list[Collection]) -> str:
    return f"halfvec({collections[0].channels})"


def _filled(statement: str, collections: list[Collection], **values: Any) -> Any:
    told = {
        "extractor": collections[0].extractor_id,
        "collections": [c.id for c in collections],
        **values,
    }
    return SQL(statement).format(**{name: Literal(value) for name, value in told.items()})
