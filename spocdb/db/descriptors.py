"""Raw descriptors: find stored ones and images that lack one, write new ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import psycopg
from psycopg.sql import SQL, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import copy_in, copy_out, pieces
from spocdb.records import Float32Array, ImageRef, NewDescriptor

# Rows of a COPY in memory at once.
N_ROWS = 4096

KNOWN = "SELECT sha256 FROM spocdb.descriptors WHERE extractor_id = %s AND sha256 = ANY(%b)"

# Of images with the same bytes, only the first.
UNDESCRIBED = """
SELECT i.id, i.sha256 FROM spocdb.images i
WHERE i.collection_id = %(collection)s AND i.id > %(last)s
  AND NOT EXISTS (
    SELECT FROM spocdb.descriptors d
    WHERE d.extractor_id = %(extractor)s AND d.sha256 = i.sha256)
  AND NOT EXISTS (
    SELECT FROM spocdb.images s
    WHERE s.collection_id = i.collection_id AND s.sha256 = i.sha256 AND s.id < i.id)
ORDER BY i.id LIMIT 4096
"""

IMAGES_OF = """
SELECT sha256, path, size FROM spocdb.images
WHERE collection_id = %s AND sha256 = ANY(%b) ORDER BY path
"""

COUNT_DESCRIBED = """
SELECT count(*) FROM spocdb.images i
JOIN spocdb.descriptors d ON d.extractor_id = %s AND d.sha256 = i.sha256
WHERE i.collection_id = %s
"""

COPY_DESCRIPTORS = (
    "COPY {} (extractor_id, sha256, width, height, descriptor) FROM STDIN (FORMAT binary)"
)

MERGE_DESCRIPTORS = """
INSERT INTO spocdb.descriptors (extractor_id, sha256, width, height, descriptor)
SELECT extractor_id, sha256, width, height, descriptor FROM incoming_descriptors
ORDER BY sha256
ON CONFLICT DO NOTHING
"""

ALL = """
COPY (
    SELECT sha256, descriptor FROM spocdb.descriptors WHERE extractor_id = {extractor}
) TO STDOUT (FORMAT binary)
"""

STORED = """
SELECT sha256, descriptor::real[] FROM spocdb.descriptors
WHERE extractor_id = %s AND sha256 = ANY(%b)
"""


def known(connection: Connection, extractor_id: int, hashes: Iterable[bytes]) -> set[bytes]:
    """Return the given sha256 that have a stored raw descriptor."""
    rows = connection.execute(KNOWN, [extractor_id, list(hashes)])
    return {bytes(row[0]) for row in rows}


def undescribed(connection: Connection, collection: Collection) -> Iterator[list[ImageRef]]:
    """Yield the images of each content that lacks a raw descriptor by the collection's extractor.

    Reads 4096 rows per query: the caller may take hours, and one query would hold its snapshot.
    """
    values = {"collection": collection.id, "extractor": collection.extractor_id, "last": 0}
    while rows := connection.execute(UNDESCRIBED, values).fetchall():
        values["last"] = rows[-1][0]
        copies: dict[bytes, list[ImageRef]] = defaultdict(list)
        hashes = [row[1] for row in rows]
        for sha256, name, size in connection.execute(IMAGES_OF, [collection.id, hashes]):
            copies[bytes(sha256)].append(ImageRef(name, size=size, sha256=bytes(sha256)))
        yield from copies.values()


def count_described(connection: Connection, collection: Collection) -> int:
    """Count the images that have a raw descriptor by the collection's extractor."""
    values = [collection.extractor_id, collection.id]
    return int(one_row(connection, COUNT_DESCRIBED, values)[0])


def write(connection: Connection, extractor_id: int, new: Mapping[bytes, NewDescriptor]) -> None:
    """Write raw descriptors by an extractor in one transaction.

    Stored descriptors stay unchanged.
    """
    if not new:
        return
    # Sorted, as the images are, so that two ingests of one folder cannot deadlock.
    hashes = sorted(new)
    descriptors = np.array([new[h].descriptor for h in hashes])
    fields = {
        "extractor_id": "bigint",
        "sha256": "sha256",
        "width": "integer",
        "height": "integer",
        "descriptor": f"halfvec({descriptors.shape[1]})",
    }
    columns = {
        "extractor_id": np.full(len(new), extractor_id),
        "sha256": np.array(hashes, "V32"),
        "width": [new[h].width for h in hashes],
        "height": [new[h].height for h in hashes],
        "descriptor": descriptors,
    }
    with connection.transaction():
        try:
            with connection.transaction():
                statement = COPY_DESCRIPTORS.format("spocdb.descriptors")
                copy_in(connection, statement, pieces(fields, columns))
        except psycopg.errors.UniqueViolation:
            # A concurrent writer inserted one of them.
            statement = COPY_DESCRIPTORS.format("incoming_descriptors")
            copy_in(connection, statement, pieces(fields, columns))
            connection.execute(MERGE_DESCRIPTORS)


def all_of(
    connection: Connection, extractor_id: int, channels: int
) -> Iterator[tuple[bytes, Float32Array]]:
    """Yield the sha256 and the raw descriptor (C,) of all contents that an extractor described."""
    statement = SQL(ALL).format(extractor=Literal(extractor_id))
    fields = {"sha256": "sha256", "descriptor": f"halfvec({channels})"}
    for rows in copy_out(connection, statement, fields, N_ROWS):
        yield from zip(
            (sha256.tobytes() for sha256 in rows["sha256"]),
            rows["descriptor"].astype(np.float32),
            strict=True,
        )


def raw_of(
    connection: Connection,
    collection: Collection,
    new: Mapping[bytes, NewDescriptor],
    hashes: Sequence[bytes],
) -> Float32Array:
    """Return the raw descriptors (n, C) of contents, from the new ones or from the database."""
    found = {sha256: one.descriptor for sha256, one in new.items()}
    if elsewhere := list({h for h in hashes if h not in found}):
        rows = connection.execute(STORED, [collection.extractor_id, elsewhere])
        found.update((row[0], np.array(row[1], np.float32)) for row in rows)
    return np.array([found[h] for h in hashes])
