"""Queries that clients ask by rows of spocdb.queries: take one, answer it, delete expired ones.

A worker that takes a query holds it for a limited time, again and again until it has an answer. If
it dies, another worker takes the query after that time. Two workers that hold the same query answer
it once: the second finds it answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spocdb.db.connections import Connection
from spocdb.db.vectors import vector
from spocdb.records import Crop, Float32Array

# NOTIFY channels: a new row wakes workers by the first, an answer wakes clients by the second.
CHANNEL = "spocdb_queries"
ANSWERS = "spocdb_answers"
# How long a worker holds a query, unless it holds it again.
SECONDS_HELD = 60


@dataclass(frozen=True, slots=True)
class Query:
    """A query that a worker took: the picture's bytes, None if they are more than were asked for.

    `tries` counts the workers that took it, this one included; the others were lost.
    """

    id: int
    collection: str
    picture: bytes | None
    n_bytes: int
    crop: Crop | None
    tries: int


# SKIP LOCKED, so that workers do not wait for each other. The picture's size is known without
# reading it.
TAKE = """
WITH due AS (
    SELECT id FROM spocdb.queries WHERE answered_at IS NULL AND due_at <= now()
    ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE spocdb.queries q
SET due_at = now() + %(seconds)s * interval '1 second', tries = q.tries + 1
FROM due WHERE q.id = due.id
RETURNING q.id, q.collection,
          CASE WHEN octet_length(q.picture) <= %(max_bytes)s THEN q.picture END,
          octet_length(q.picture), q.crop, q.tries
"""

# Unless another worker has taken it since.
HOLD = """
UPDATE spocdb.queries SET due_at = now() + %(seconds)s * interval '1 second'
WHERE id = %(id)s AND tries = %(tries)s AND answered_at IS NULL
"""

GIVE_BACK = """
UPDATE spocdb.queries SET due_at = now(), tries = tries - 1
WHERE id = %s AND answered_at IS NULL
"""

# The picture goes at once. The notification leaves with the answer's commit.
ANSWER = f"""
WITH answered AS (
    UPDATE spocdb.queries
    SET embedding = %(embedding)s, projection = %(projection)s,
        error = %(error)s, message = %(message)s,
        answered_at = now(), expires_at = DEFAULT, picture = NULL
    WHERE id = %(id)s AND answered_at IS NULL
    RETURNING id
)
SELECT pg_notify('{ANSWERS}', id::text) FROM answered
"""

DELETE_EXPIRED = """
DELETE FROM spocdb.queries WHERE id IN (
    SELECT id FROM spocdb.queries WHERE expires_at <= now() FOR UPDATE SKIP LOCKED)
"""


def take(connection: Connection, max_bytes: int) -> Query | None:
    """Take the query that has waited longest; its picture only if it has `max_bytes` at most."""
    values = {"seconds": SECONDS_HELD, "max_bytes": max_bytes}
    row = connection.execute(TAKE, values, binary=True).fetchone()
    if row is None:
        return None
    id, collection, picture, n_bytes, crop, tries = row
    return Query(id, collection, picture, n_bytes, crop and Crop(*crop), tries)


def hold(connection: Connection, query: Query) -> None:
    """Hold a query that this worker took for longer."""
    values = {"seconds": SECONDS_HELD, "id": query.id, "tries": query.tries}
    connection.execute(HOLD, values)


def give_back(connection: Connection, query: Query) -> None:
    """Let another worker take a query at once."""
    connection.execute(GIVE_BACK, [query.id])


def answer(connection: Connection, query: Query, embedding: Float32Array, projection: int) -> None:
    """Answer a query with the picture's embedding (N,) by a projection; notify its client."""
    values = {"embedding": vector(embedding), "projection": projection}
    _answer(connection, query, values | {"error": None, "message": None})


def refuse(connection: Connection, query: Query, code: str, message: str) -> None:
    """Answer a query with the code of an error and a message of one line; notify its client."""
    values = {"embedding": None, "projection": None, "error": code, "message": message}
    _answer(connection, query, values)


def delete_expired(connection: Connection) -> None:
    """Delete queries, answered or not, whose time is over."""
    connection.execute(DELETE_EXPIRED)


def _answer(connection: Connection, query: Query, values: Mapping[str, object]) -> None:
    connection.execute(ANSWER, {"id": query.id, **values})
