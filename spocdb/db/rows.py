"""Read the rows of attached tables: keys, images and metadata."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from spocdb.db.attachments import readable
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.items import is_refusal
from spocdb.errors import DatabaseRefused, SourceBroken


@dataclass(frozen=True, slots=True)
class AttachedRow:
    """A row that belongs to its collection, with its image's `content` or `location`.

    `size` is the content's in bytes, also of a content that was too large to fetch.
    """

    key: str
    location: str | None
    content: bytes | None
    metadata: dict[str, Any]
    size: int = 0


ROWS = "SELECT *, coalesce(octet_length(content), 0) AS size FROM spocdb.source_rows(%s, %s)"

# PostgreSQL knows a value's size without reading it.
SIZES = "SELECT key, octet_length(content) FROM spocdb.source_rows(%s, %s) ORDER BY key"

KEYS = "SELECT spocdb.source_keys(%s)"

FITTING = "SELECT count(*) FROM spocdb.lock_rows(%s, %s)"


def keys(connection: Connection, collection: Collection) -> Iterator[str]:
    """Yield the keys of the rows that belong to the collection.

    Raises:
        SourceBroken: the attached table was altered.
    """
    with readable(collection):
        yield from (key for (key,) in connection.execute(KEYS, [collection.id]))


def find(connection: Connection, collection: Collection, keys: Sequence[str]) -> list[AttachedRow]:
    """Return the rows with these keys that belong to the collection.

    Raises:
        SourceBroken: the attached table was altered.
    """
    with readable(collection), connection.cursor(row_factory=class_row(AttachedRow)) as cursor:
        return cursor.execute(ROWS, [collection.id, list(keys)]).fetchall()


def in_parts(
    connection: Connection,
    collection: Collection,
    keys: Sequence[str],
    max_bytes: int,
    most_at_once: int,
) -> Iterator[AttachedRow]:
    """Yield the rows with these keys that belong to the collection, `most_at_once` bytes at a time.

    Contents of more than `max_bytes` are not fetched.

    Raises:
        SourceBroken: the attached table was altered.
    """
    part: list[str] = []
    n_bytes = 0
    with readable(collection):
        sizes = connection.execute(SIZES, [collection.id, list(keys)]).fetchall()
    for key, size in sizes:
        if (size or 0) > max_bytes:
            yield AttachedRow(key, None, None, {}, size)
            continue
        if part and n_bytes + (size or 0) > most_at_once:
            yield from find(connection, collection, part)
            part, n_bytes = [], 0
        part.append(key)
        n_bytes += size or 0
    if part:
        yield from find(connection, collection, part)


def each(
    connection: Connection,
    collection: Collection,
    keys: Sequence[str],
    max_bytes: int,
    most_at_once: int,
) -> Iterator[tuple[str, AttachedRow | DatabaseRefused]]:
    """Yield each key with its row from `in_parts`, or with the error of a row that cannot be read.

    A condition or a column may fail for some values only; the other rows are still read.

    Raises:
        SourceBroken: the attached table was altered.
    """
    left = dict.fromkeys(keys)
    try:
        for row in in_parts(connection, collection, keys, max_bytes, most_at_once):
            left.pop(row.key, None)
            yield row.key, row
        return
    except (SourceBroken, psycopg.Error) as exc:
        if not is_refusal(_driver_error(exc)):
            raise
    with readable(collection):
        # Raises SourceBroken if the keys do not fit the column's type: then no row is at fault.
        connection.execute(FITTING, [collection.id, list(left)])
    for key in left:
        try:
            found = list(in_parts(connection, collection, [key], max_bytes, most_at_once))
        except (SourceBroken, psycopg.Error) as exc:
            error = _driver_error(exc)
            if not is_refusal(error):
                raise
            yield key, DatabaseRefused(f"the row cannot be read: {error.diag.message_primary}")
        else:
            yield from ((row.key, row) for row in found)


def _driver_error(exc: SourceBroken | psycopg.Error) -> psycopg.Error:
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    assert isinstance(cause, psycopg.Error), "the cause is the driver's error"
    return cause
