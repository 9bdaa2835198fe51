"""Re-projection: embed stored descriptors with another PCA while searches continue."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.managers import SyncManager

import numpy as np

from benchmarks.database import clients
from benchmarks.database.gallery import Gallery
from benchmarks.memory import megabytes
from benchmarks.record import Figure
from spocdb.db import embeddings, projections
from spocdb.features.projection import project

PEER = "spocdb.project in SQL"
LONGEST, N_SQL_ROWS = 3600.0, 4000

IN_SQL = """
SELECT count(spocdb.project(d.descriptor::vector, %s))
FROM (SELECT descriptor FROM spocdb.descriptors WHERE extractor_id = %s LIMIT %s) d
"""


def run(target: Gallery) -> list[Figure]:
    """Measure time and memory of filling an embedding table, and the search latency meanwhile."""
    connection = target.connection
    other = replace(target.fitted, scale=np.ones_like(target.fitted.scale), settings={"other": 1})
    number = projections.store(connection, target.collection.extractor_id, other, {})
    embeddings.add(connection, target.collection, number)
    # The first run warms the server's caches.
    _, alone = _searches(target), _searches(target)
    filled, memory, during = _while_filling(target, number)
    in_sql = _in_sql(target, number)
    embeddings.drop(connection, target.collection, number)
    note = f"{target.n_rows:,} rows"
    figures = [
        Figure("re-projection", filled, "s", note=f"{note}, searches going on"),
        Figure("re-projection, rate", target.n_rows / filled, "rows/s", in_sql, PEER),
        Figure("re-projection, memory by chunk", max(memory) - memory[1], "MB", note="the growth"),
    ]
    for quantile in (50, 99):
        value, before = (float(np.percentile(taken, quantile)) for taken in (during, alone))
        figures.append(
            Figure(f"search meanwhile, p{quantile}", value, "ms", before, "the same alone")
        )
    return figures


def _searches(target: Gallery) -> list[float]:
    """Return the milliseconds of searches on an otherwise idle server."""
    seconds = 5.0 if target.is_large else 0.5
    with _process() as (pool, manager):
        what = (target.db.url, target.collection.name, target.queries)
        return pool.submit(clients.ask, *what, manager.Barrier(1), seconds).result()


def _while_filling(target: Gallery, number: int) -> tuple[float, list[float], list[float]]:
    """Fill the embedding table; return seconds, megabytes after each chunk, search milliseconds."""
    with _process() as (pool, manager):
        ready, over = manager.Barrier(2), manager.Event()
        what = (target.db.url, target.collection.name, target.queries)
        asking = pool.submit(clients.ask, *what, ready, LONGEST, over=over)
        ready.wait(clients.PATIENCE)
        began = time.perf_counter()
        memory = [megabytes(), *_fill(target, number)]
        seconds = time.perf_counter() - began
        over.set()
        return seconds, memory, asking.result()


@contextmanager
def _process() -> Iterator[tuple[ProcessPoolExecutor, SyncManager]]:
    spawn = get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(1, mp_context=spawn) as pool:
        yield pool, manager


def _fill(target: Gallery, number: int) -> Iterator[float]:
    fitted = projections.load(target.connection, number)
    with target.db.engine.connect() as reader:
        for _ in embeddings.fill(
            reader,
            target.connection,
            target.collection,
            number,
            lambda raw: project(raw, fitted),
        ):
            yield megabytes()


def _in_sql(target: Gallery, number: int) -> float:
    """Return the rows per second that the SQL function projects, without writing them."""
    n_rows = min(N_SQL_ROWS, target.n_rows)
    began = time.perf_counter()
    target.connection.execute(IN_SQL, [number, target.collection.extractor_id, n_rows])
    return n_rows / (time.perf_counter() - began)
