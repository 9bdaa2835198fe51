"""Clients: queries per second of one to sixteen concurrent clients, each with a connection."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from threading import Barrier, Event

import numpy as np
from pgvector import Vector

from benchmarks.database.gallery import Gallery
from benchmarks.record import Figure
from spocdb.db import connections
from spocdb.records import Float32Array

N_CLIENTS = (1, 2, 4, 8, 16)
N_WARM, PATIENCE = 20, 120.0
SEARCH = "SELECT id, path, distance, metadata FROM spocdb.search(%s, %s)"


def run(target: Gallery) -> list[Figure]:
    """Run clients for some seconds; they share the cores with the server."""
    n_clients, seconds = (N_CLIENTS, 6.0) if target.is_large else (N_CLIENTS[:2], 0.5)
    return [figure for n in n_clients for figure in _together(target, n, seconds)]


def _together(target: Gallery, n_clients: int, seconds: float) -> Iterator[Figure]:
    spawn = get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(n_clients, mp_context=spawn) as pool:
        ready = manager.Barrier(n_clients)
        what = (target.db.url, target.collection.name, target.queries, ready, seconds)
        asked = [pool.submit(ask, *what, seed) for seed in range(n_clients)]
        taken = [milliseconds for future in asked for milliseconds in future.result()]
    yield Figure(f"{n_clients} clients, queries", len(taken) / seconds, "1/s")
    yield Figure(f"{n_clients} clients, p50", float(np.percentile(taken, 50)), "ms")
    yield Figure(f"{n_clients} clients, p99", float(np.percentile(taken, 99)), "ms")


def ask(
    url: str,
    collection: str,
    queries: Float32Array,
    ready: Barrier,
    seconds: float,
    seed: int = 0,
    over: Event | None = None,
) -> list[float]:
    """Search one query after another, for `seconds` or until `over` is set, once all are ready.

    Returns the milliseconds of each query.
    """
    order = np.random.default_rng(seed).permutation(len(queries))
    vectors = cycle([Vector(queries[i]) for i in order])
    taken: list[float] = []
    with connections.connect(url) as connection:
        for _ in range(N_WARM):
            connection.execute(SEARCH, [collection, next(vectors)]).fetchall()
        ready.wait(PATIENCE)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and not (over and over.is_set()):
            vector, began = next(vectors), time.perf_counter()
            connection.execute(SEARCH, [collection, vector]).fetchall()
            taken.append((time.perf_counter() - began) * 1000)
    return taken
