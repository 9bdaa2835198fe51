"""Attached tables: attach and detach them, read their rows, count how far they are."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import TupleRow, class_row

from spocdb.db.collections import Collection
from spocdb.db.engine import Connection, one_row
from spocdb.db.items import is_refusal
from spocdb.errors import DatabaseRefused, SourceBroken


@dataclass(frozen=True, slots=True)
class Source:
    """An attached table: `kind` bytes, path (below `root`) or url; see spocdb.sources."""

    collection: str
    relation: str
    kind: str
    root: str | None
    allow_private: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row that belongs to its collection: its image's `content`, or the `location` of that.

    `size` is the content's in bytes, also where it was too large to be asked for.
    """

    key: str
    location: str | None
    content: bytes | None
    metadata: dict[str, Any]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """What `attach` is told; `relation` and `condition` are SQL, the columns plain names."""

    relation: str
    key: str
    image: str
    root: str | None = None
    urls: bool = False
    condition: str | None = None
    metadata: Sequence[str] = ()
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far a collection is by one of its projections; a row of spocdb.coverage.

    Each row is counted once: `rows` = `embedded` + `pending` + `leased` + `failed`. `rows` belong
    to the collection, or did and are still to be taken out (None: the table cannot be read,
    `problem` says why). `leased` are with a worker, `pending` wait for one, `failed` were given up
    (the image before may still be found), `embedded` are up to date.
    """

    collection: str
    projection: int
    active: bool
    relation: str | None
    rows: int | None
    embedded: int
    pending: int
    leased: int
    failed: int
    oldest_pending: timedelta | None
    problem: str | None


ATTACH = """
SELECT spocdb.attach(%(relation)s::regclass, %(key)s, %(image)s, %(collection)s, %(extractor)s,
                     %(root)s, %(urls)s, %(condition)s, %(metadata)s, %(allow_private)s)
"""

JUDGE = """
SELECT spocdb.judge_source(%(relation)s::regclass, %(key)s, %(image)s, %(root)s, %(urls)s,
                           %(condition)s, %(metadata)s)
"""

LIST = """
SELECT c.name AS collection, s.relation::text AS relation, s.kind, s.root, s.allow_private
FROM spocdb.sources s JOIN spocdb.collections c ON c.id = s.collection_id
WHERE %(collection)s::text IS NULL OR c.name = %(collection)s
ORDER BY 1
"""

# Together about half a minute.
TRIES, SECONDS_BETWEEN_TRIES = 25, 0.5

ROWS = "SELECT *, coalesce(octet_length(content), 0) AS size FROM spocdb.source_rows(%s, %s)"

# PostgreSQL knows a value's size without reading it.
SIZES = "SELECT key, octet_length(content) FROM spocdb.source_rows(%s, %s) ORDER BY key"

FITTING = "SELECT count(*) FROM spocdb.lock_rows(%s, %s)"

COVERAGE = """
SELECT * FROM spocdb.coverage
WHERE %(collection)s::text IS NULL OR collection = %(collection)s
"""

# What an application does to its own table: columns that went, rights that were taken.
BROKEN = (
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.NumericValueOutOfRange,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.SyntaxError,
)


def attach(
    connection: Connection, attachment: Attachment, collection: str | None, extractor: str | None
) -> str:
    """Attach a table, or change how it is attached; return its collection's name.

    Raises ConfigError for a table that cannot be attached like that.
    """
    values = _values(attachment) | {"collection": collection, "extractor": extractor}
    (number,) = _patiently(connection, ATTACH, values)
    (name,) = one_row(connection, "SELECT name FROM spocdb.collections WHERE id = %s", [number])
    return str(name)


def judge(connection: Connection, attachment: Attachment) -> None:
    """Raise ConfigError for a table that cannot be attached like that."""
    connection.execute(JUDGE, _values(attachment))


def _values(attachment: Attachment) -> dict[str, Any]:
    return asdict(attachment) | {"metadata": list(attachment.metadata)}


def detach(connection: Connection, collection: str) -> None:
    """Undo `attach`. Raises CollectionNotFound."""
    _patiently(connection, "SELECT spocdb.detach(%s)", [collection])


def _patiently(connection: Connection, statement: str, values: Any) -> TupleRow:
    """Run a statement that gives way to an application that uses the table, again and again."""
    for _ in range(TRIES):
        try:
            with connection.transaction():
                return one_row(connection, statement, values)
        except psycopg.errors.LockNotAvailable:
            time.sleep(SECONDS_BETWEEN_TRIES)
    return one_row(connection, statement, values)


def relation_name(connection: Connection, relation: str) -> str | None:
    """Return the name without schema that a relation has, None if there is no such relation."""
    row = connection.execute(
        "SELECT relname FROM pg_class WHERE oid = to_regclass(%s)", [relation]
    ).fetchone()
    return None if row is None else str(row[0])


def attached(connection: Connection, collection: str | None = None) -> list[Source]:
    """List the attached tables, of one collection or of all."""
    with connection.cursor(row_factory=class_row(Source)) as cursor:
        return cursor.execute(LIST, {"collection": collection}).fetchall()


def rows(connection: Connection, collection: Collection, keys: Sequence[str]) -> list[SourceRow]:
    """Return those rows that belong to the collection. Raises SourceBroken."""
    with readable(collection), connection.cursor(row_factory=class_row(SourceRow)) as cursor:
        return cursor.execute(ROWS, [collection.id, list(keys)]).fetchall()


def rows_in_parts(
    connection: Connection,
    collection: Collection,
    keys: Sequence[str],
    max_bytes: int,
    most_at_once: int,
) -> Iterator[SourceRow]:
    """Yield those rows that belong to the collection, fetching at most so many bytes at once.

    Contents of more than `max_bytes` are not fetched. Raises SourceBroken.
    """
    part: list[str] = []
    n_bytes = 0
    with readable(collection):
        sizes = connection.execute(SIZES, [collection.id, list(keys)]).fetchall()
    for key, size in sizes:
        if (size or 0) > max_bytes:
            yield SourceRow(key, None, None, {}, size)
            continue
        if part and n_bytes + (size or 0) > most_at_once:
            yield from rows(connection, collection, part)
            part, n_bytes = [], 0
        part.append(key)
        n_bytes += size or 0
    if part:
        yield from rows(connection, collection, part)


def rows_each(
    connection: Connection,
    collection: Collection,
    keys: Sequence[str],
    max_bytes: int,
    most_at_once: int,
) -> Iterator[tuple[str, SourceRow | DatabaseRefused]]:
    """Yield `rows_in_parts` by key, or why a row cannot be read: its values stop no other.

    A condition or a column may fail for some values only. Raises SourceBroken.
    """
    left = dict.fromkeys(keys)
    try:
        for row in rows_in_parts(connection, collection, keys, max_bytes, most_at_once):
            left.pop(row.key, None)
            yield row.key, row
        return
    except (SourceBroken, psycopg.Error) as exc:
        if not is_refusal(_driver_error(exc)):
            raise
    with readable(collection):
        # Keys that are none of the column's type now are no fault of a row.
        connection.execute(FITTING, [collection.id, list(left)])
    for key in left:
        try:
            found = list(rows_in_parts(connection, collection, [key], max_bytes, most_at_once))
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


def coverage(connection: Connection, collection: str | None = None) -> list[Coverage]:
    """Count how far each collection is, exactly."""
    with connection.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute(COVERAGE, {"collection": collection}).fetchall()


@contextmanager
def readable(collection: Collection) -> Iterator[None]:
    """Turn what an altered table makes of its queries into SourceBroken."""
    try:
        yield
    except BROKEN as exc:
        raise SourceBroken(
            f"the table of {collection.name} is not as it was attached ({exc.diag.message_primary})"
            ": run `db.tables.attach(...)` again with what it is now, or `db.tables.detach(...)`"
        ) from exc
