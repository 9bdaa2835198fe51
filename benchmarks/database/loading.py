"""Loading: write an ingest's batches of 512-D raw descriptors and 256-D embeddings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from pgvector import HalfVector, Vector
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from benchmarks import data
from benchmarks.database import gallery
from benchmarks.database.gallery import DIM, Gallery
from benchmarks.record import Figure
from spocdb.api import Database, connect
from spocdb.db import connections, embedded, schema, writing
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import copy_in, pieces
from spocdb.features.projection import project
from spocdb.records import Float32Array

N_PEER_ROWS = 1000

IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"

PEER = f"""
CREATE TABLE peer (
    id bigint PRIMARY KEY, path text, raw halfvec({data.CHANNELS}), embedding vector({DIM})
)
"""


def run(target: Gallery) -> list[Figure]:
    """Measure rows/s into a new database, compared with a plain COPY and an INSERT per row."""
    with _database(target) as db, db.engine.connection() as connection:
        loaded = gallery.open(db, connection, "loading", target.n_rows)
        connection.execute(PEER)
        writing.make_staging(connection)
        ours, copied = 0.0, 0.0
        for number in range(loaded.n_rows // loaded.stretch):
            ours += write(loaded, connection, number)
            copied += _copy(connection, number, loaded.stretch)
        inserted = _insert_per_row(connection, data.make_stretch(0)[0][:N_PEER_ROWS])
    rate = loaded.n_rows / ours
    note = f"{loaded.n_rows:,} rows, batches of {loaded.stretch:,}, without projecting"
    return [
        Figure("load, 512 raw + 256", rate, "rows/s", loaded.n_rows / copied, "plain COPY", note),
        Figure("load, beside INSERT per row", rate, "rows/s", inserted, "INSERT per row"),
    ]


def write(target: Gallery, connection: Connection, number: int) -> float:
    """Write a stretch as one batch; return the seconds, without projecting."""
    made, _ = data.make_stretch(number, target.stretch)
    embedded = project(made, target.fitted)
    (batch,) = data.in_batches(
        made, target.collection.name, target.stretch, number * target.stretch
    )
    began = time.perf_counter()
    # The files are new, so their rows come in the order of the batch.
    writing.write(connection, target.collection, batch, lambda _, __: embedded)
    return time.perf_counter() - began


@contextmanager
def _database(target: Gallery) -> Iterator[Database]:
    url = make_conninfo(target.db.url, dbname="spocdb_loading")
    target.connection.execute("CREATE DATABASE spocdb_loading")
    try:
        # The embedded server's own role is no superuser, and may not create extensions.
        (may,) = one_row(target.connection, IS_SUPERUSER)
        admin = url if may else embedded.admin_url(target.db.settings.data_dir)
        with connections.connect(make_conninfo(admin, dbname="spocdb_loading")) as superuser:
            superuser.execute("CREATE EXTENSION vector")
        schema.upgrade(url)
        with connect(settings=replace(target.db.settings, database_url=url)) as other:
            yield other
    finally:
        target.connection.execute("DROP DATABASE spocdb_loading WITH (FORCE)")


def _copy(connection: Connection, number: int, n_rows: int) -> float:
    """Return the seconds of a COPY of the same vectors into one table with one index."""
    made, _ = data.make_stretch(number, n_rows)
    fields = {"id": "bigint", "raw": f"halfvec({data.CHANNELS})", "embedding": f"vector({DIM})"}
    ids = np.arange(number * n_rows, (number + 1) * n_rows)
    began = time.perf_counter()
    statement = SQL("COPY {} (id, raw, embedding) FROM STDIN (FORMAT binary)")
    columns = {"id": ids, "raw": made, "embedding": made[:, :DIM]}
    copy_in(connection, statement.format(Identifier("peer")), pieces(fields, columns))
    return time.perf_counter() - began


def _insert_per_row(connection: Connection, descriptors: Float32Array) -> float:
    embedding = Vector(np.zeros(DIM, np.float32))
    began = time.perf_counter()
    for i, raw in enumerate(descriptors):
        connection.execute(
            "INSERT INTO peer (id, path, raw, embedding) VALUES (%s, %s, %s, %s)",
            [-1 - i, f"/peer/{i}", HalfVector(raw), embedding],
        )
    return len(descriptors) / (time.perf_counter() - began)
