"""Re-projection: embeddings of a new PCA from the stored raw descriptors."""

import resource
import time
from pathlib import Path

from psycopg.sql import SQL, Identifier

from benchmarks.data import fill, make_collection, make_descriptors
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import collections, embeddings, projections
from spocdb.db.collections import Collection
from spocdb.features.projection import project

N_ROWS, N_SQL_ROWS = 100_000, 4000


def run(db: Database) -> list[Figure]:
    """Measure rows/s and memory of filling an embedding table, beside the SQL function."""
    collection = make_collection(db.connection, "projecting")
    fill(db.connection, collection, make_descriptors(N_ROWS))
    number = db.pca.fit("projecting")
    fitted = projections.load(db.connection, number)
    embeddings.add(db.connection, collection, number)
    n_rows, memory, began = 0, [_megabytes()], time.perf_counter()
    with db.session.connect() as reader:
        for n in embeddings.fill(
            reader, db.connection, collection, number, lambda raw: project(raw, fitted)
        ):
            n_rows += n
            memory.append(_megabytes())
    rate = n_rows / (time.perf_counter() - began)
    sql = _in_sql(db, collection, number)
    collections.drop(db.connection, collections.get(db.connection, "projecting"))
    return [
        Figure("re-projection, 512 to 256", rate, "rows/s", sql, "spocdb.project in SQL"),
        Figure("re-projection, memory it takes", max(memory) - memory[0], "MB"),
        Figure("re-projection, memory by chunk", max(memory) - memory[1], "MB", note="the growth"),
    ]


def _in_sql(db: Database, collection: Collection, number: int) -> float:
    raw, _ = embeddings.table_of(db.connection, collection, collection.active_projection_id)
    statement = SQL(
        "SELECT count(spocdb.project(d.embedding::vector, %s)) "
        "FROM (SELECT embedding FROM spocdb.{} LIMIT %s) d"
    ).format(Identifier(raw))
    began = time.perf_counter()
    db.connection.execute(statement, [number, N_SQL_ROWS]).fetchone()
    return N_SQL_ROWS / (time.perf_counter() - began)


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
