"""Search: `similar` in the database, beside hand-written pgvector SQL and an exact scan."""

import time
from collections.abc import Callable

import numpy as np
from psycopg.sql import SQL, Identifier

from benchmarks.data import fill, make_collection
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import indexes
from spocdb.records import Float32Array

N_QUERIES = 200


def run(db: Database, descriptors: Float32Array, what: str) -> list[Figure]:
    """Measure latency and recall@10 of the given raw descriptors, at 256 dimensions."""
    n_rows = len(descriptors)
    collection = make_collection(db.connection, "searching")
    fill(db.connection, collection, descriptors)
    number = db.pca.fit("searching")
    db.pca.activate(number, "searching")
    began = time.perf_counter()
    recall = db.index.build("searching")
    build = time.perf_counter() - began
    ids = _sample(db, n_rows)
    ours = _milliseconds(ids, lambda id_: db.similar(id_, 10, collection="searching"))
    hand = _milliseconds(ids, _by_hand(db, f"embeddings_{collection.id}_{number}"))
    exact = _milliseconds(
        ids[:20], lambda id_: db.similar(id_, 10, collection="searching", exact=True)
    )
    size = f"{n_rows:,} x 256, {what}"
    p50, p99 = np.quantile(ours, 0.5), np.quantile(ours, 0.99)
    by_hand = float(np.quantile(hand, 0.5))
    return [
        Figure("search by id, p50", float(p50), "ms", by_hand, "hand-written SQL", size),
        Figure("search by id, p99", float(p99), "ms"),
        Figure("search by id, exact", float(np.median(exact)), "ms"),
        Figure("search by id, recall@10", recall or 0.0, "", note="against the exact scan"),
        Figure("index build", build, "s", note=f"m {indexes.M}, ef {indexes.EF_CONSTRUCTION}"),
    ]


def _sample(db: Database, n_rows: int) -> list[int]:
    rows = db.connection.execute("SELECT id FROM spocdb.searching ORDER BY id")
    return [row[0] for row in rows][:: max(n_rows // N_QUERIES, 1)]


def _by_hand(db: Database, table: str) -> Callable[[int], object]:
    statement = SQL(
        "SELECT i.id, i.path, 1 + (e.embedding <#> q.embedding), i.metadata "
        "FROM (SELECT embedding FROM spocdb.{table} WHERE image_id = %s) q, "
        "LATERAL (SELECT image_id, embedding FROM spocdb.{table} "
        "         ORDER BY embedding <#> q.embedding LIMIT 11) e "
        "JOIN spocdb.images i ON i.id = e.image_id"
    ).format(table=Identifier(table))
    db.connection.execute("SET hnsw.ef_search = 100")
    return lambda id_: db.connection.execute(statement, [id_]).fetchall()


def _milliseconds(ids: list[int], search: Callable[[int], object]) -> list[float]:
    for id_ in ids[:20]:
        search(id_)
    taken = []
    for id_ in ids:
        began = time.perf_counter()
        search(id_)
        taken.append((time.perf_counter() - began) * 1000)
    return taken
