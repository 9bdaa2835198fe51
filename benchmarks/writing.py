"""Writing: the batches of an ingest, 512-D raw descriptors and 256-D embeddings, to disk."""

import time

import numpy as np
from pgvector import HalfVector, Vector

from benchmarks.data import CHANNELS, in_batches, make_collection, make_descriptors
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import batches, collections, embeddings, projections
from spocdb.db.engine import Connection
from spocdb.features.projection import Moments, fit, project
from spocdb.records import Float32Array

N_ROWS, BATCH_ROWS, N_PEER_ROWS = 40_000, 4000, 1000


def run(db: Database) -> list[Figure]:
    """Measure rows/s of the batch writer beside the INSERT per row of a straightforward script."""
    collection = make_collection(db.connection, "writing")
    descriptors = make_descriptors(N_ROWS)
    fitted = fit(Moments.of(descriptors[:4000]), 256)
    number = projections.store(db.connection, collection.extractor_id, fitted, {})
    raw = collection.active_projection_id
    embeddings.add(db.connection, collection, number)
    embeddings.activate(db.connection, collection, number)
    embeddings.drop(db.connection, collection, raw)
    with db.session.connect() as connection:
        batches.prepare(connection)
        made = list(in_batches(descriptors, "writing", BATCH_ROWS))
        # Projecting is a stage of its own; here the time of writing alone is asked for.
        embedded = project(descriptors[:BATCH_ROWS], fitted)
        began = time.perf_counter()
        for batch in made:
            batches.write(connection, collection, batch, lambda _, x: embedded[: len(x)])
        rows_per_second = N_ROWS / (time.perf_counter() - began)
        peer = _insert_per_row(connection, descriptors[:N_PEER_ROWS], fitted.dim)
    collections.drop(db.connection, collections.get(db.connection, "writing"))
    return [Figure("write, 512 raw + 256", rows_per_second, "rows/s", peer, "INSERT per row")]


def _insert_per_row(connection: Connection, descriptors: Float32Array, dim: int) -> float:
    connection.execute(
        f"CREATE TEMP TABLE peer (path text PRIMARY KEY, raw halfvec({CHANNELS}), "
        f"embedding vector({dim}))"
    )
    embedding = Vector(np.zeros(dim, np.float32))
    began = time.perf_counter()
    for i, raw in enumerate(descriptors):
        connection.execute(
            "INSERT INTO peer VALUES (%s, %s, %s)", [f"/peer/{i}", HalfVector(raw), embedding]
        )
    return len(descriptors) / (time.perf_counter() - began)
