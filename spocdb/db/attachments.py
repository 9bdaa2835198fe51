"""Attached tables: attach and detach them, list them, count their coverage."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import TupleRow, class_row

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import ConfigError, SourceBroken


@dataclass(frozen=True, slots=True)
class Attached:
    """An attached table; the `kind` of its image column is bytes, path or url.

    Paths are below `root`, a folder or a prefix of a bucket. A reader is not shown it.
    """

    collection: str
    relation: str
    kind: str
    root: str | None
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Attachment:
    """The arguments of `attach`; `relation` and `condition` are SQL, the columns plain names.

    `root` is an absolute folder, or the URI of a bucket's prefix such as s3://photos/shoes.
    """

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
    """How far a collection is embedded by one of its projections; a row of spocdb.coverage.

    Each row is counted once: `rows` = `embedded` + `pending` + `leased` + `failed`. `rows` includes
    rows that left the collection and are not removed yet; it is None if the table cannot be read,
    and `problem` says why. `embedded` rows are up to date, `pending` rows wait for a worker,
    `leased` rows are with a worker, `failed` rows were given up (searches may still find their
    earlier image).
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


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a collection grows; a row of spocdb.throughput.

    `images_per_second` are those of the last five minutes. `remaining` is how long what is in the
    queue takes at this rate, archives by their bytes; None if nothing is.
    """

    collection: str
    images_per_second: float
    remaining: timedelta | None


ATTACH = """
SELECT spocdb.attach(%(relation)s::regclass, %(key)s, %(image)s, %(collection)s, %(extractor)s,
                     %(root)s, %(urls)s, %(condition)s, %(metadata)s, %(allow_private)s)
"""

JUDGE = """
SELECT spocdb.judge_source(%(relation)s::regclass, %(key)s, %(image)s, %(root)s, %(urls)s,
                           %(condition)s, %(metadata)s)
"""

LIST = """
SELECT collection, relation::text AS relation, kind, root, allow_private
FROM spocdb.attached(%(collection)s) ORDER BY 1
"""

# With the functions' lock_timeout of 800 ms, about half a minute in all.
TRIES, SECONDS_BETWEEN_TRIES = 25, 0.5

COVERAGE = "SELECT * FROM spocdb.coverage_of(%s)"

THROUGHPUT = "SELECT * FROM spocdb.throughput(%s) ORDER BY 1"

# Errors after an application altered its table: dropped columns, revoked rights.
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

    Raises:
        ConfigError: the table cannot be attached with these settings.
    """
    values = _values(attachment) | {"collection": collection, "extractor": extractor}
    (number,) = _patiently(connection, ATTACH, values)
    (name,) = one_row(connection, "SELECT name FROM spocdb.collections WHERE id = %s", [number])
    return str(name)


def judge(connection: Connection, attachment: Attachment) -> None:
    """Check whether a table can be attached, and change nothing.

    Raises:
        ConfigError: the table cannot be attached with these settings.
    """
    connection.execute(JUDGE, _values(attachment))


def _values(attachment: Attachment) -> dict[str, Any]:
    return asdict(attachment) | {"metadata": list(attachment.metadata)}


def detach(connection: Connection, collection: str) -> None:
    """Undo `attach`.

    Raises:
        CollectionNotFound: no table is attached as this collection.
    """
    _patiently(connection, "SELECT spocdb.detach(%s)", [collection])


def _patiently(connection: Connection, statement: str, values: Any) -> TupleRow:
    """Run a statement; retry it while its lock on the application's table times out."""
    for _ in range(TRIES):
        try:
            with connection.transaction():
                return one_row(connection, statement, values)
        except psycopg.errors.LockNotAvailable:
            time.sleep(SECONDS_BETWEEN_TRIES)
    return one_row(connection, statement, values)


def relation_name(connection: Connection, relation: str) -> str | None:
    """Return a relation's name without its schema; None if there is no such relation."""
    row = connection.execute(
        "SELECT relname FROM pg_class WHERE oid = to_regclass(%s)", [relation]
    ).fetchone()
    return None if row is None else str(row[0])


def attached(connection: Connection, collection: str | None = None) -> list[Attached]:
    """List the attached tables, of one collection or of all."""
    with connection.cursor(row_factory=class_row(Attached)) as cursor:
        return cursor.execute(LIST, {"collection": collection}).fetchall()


def find(connection: Connection, collection: Collection) -> Attached | None:
    """Return the attached table of a collection, or None."""
    return next(iter(attached(connection, collection.name)), None)


def refuse(connection: Connection, collection: Collection) -> None:
    """Refuse the collection of an attached table.

    Raises:
        ConfigError: a table is attached to the collection.
    """
    if table := find(connection, collection):
        raise ConfigError(
            f"{collection.name} is of the rows of {table.relation}: `db.tables.work()` fills "
            "it, `db.tables.retry()` tries failed rows again; for files use another "
            "`collection=...`"
        )


def coverage(connection: Connection, collection: str | None = None) -> list[Coverage]:
    """Count the coverage of one collection, or of all; the counts are exact."""
    with connection.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute(COVERAGE, [collection]).fetchall()


def throughput(connection: Connection, collection: str | None = None) -> list[Throughput]:
    """Return the throughput of one collection, or of all, that got images within five minutes."""
    with connection.cursor(row_factory=class_row(Throughput)) as cursor:
        return cursor.execute(THROUGHPUT, [collection]).fetchall()


@contextmanager
def readable(collection: Collection) -> Iterator[None]:
    """Turn the errors of queries on an altered table into SourceBroken."""
    try:
        yield
    except BROKEN as exc:
        raise SourceBroken(
            f"the table of {collection.name} is not as it was attached ({exc.diag.message_primary})"
            ": run `db.tables.attach(...)` again with what it is now, or `db.tables.detach(...)`"
        ) from exc
