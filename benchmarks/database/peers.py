"""Peers: faiss, exact and HNSW, on the same rows, in the memory of one process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.database import gallery, timing
from benchmarks.database.gallery import DIM, Gallery, K
from benchmarks.record import Figure
from spocdb.db import building
from spocdb.machine import n_cores
from spocdb.records import Float32Array

EF_SEARCH = (40, 100, 200)
N_EXACT = 50


def run(target: Gallery) -> list[Figure]:
    """Measure faiss with spocdb's index parameters; return nothing if faiss is not installed."""
    try:
        import faiss
    except ImportError:
        return []
    return [*_flat(target, faiss), *_hnsw(target, faiss)]


@contextmanager
def threads(faiss: Any, n: int) -> Iterator[None]:
    """Let faiss use `n` threads for the block; torch, which shares OpenMP with it, has its own."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _flat(target: Gallery, faiss: Any) -> Iterator[Figure]:
    index, ids, _ = _filled(target, faiss.IndexFlatIP(DIM))
    with threads(faiss, 1):
        taken = _one_by_one(index.search, ids, target.queries[:N_EXACT])
    yield from timing.figures("faiss flat", taken)


def _hnsw(target: Gallery, faiss: Any) -> Iterator[Figure]:
    index = faiss.IndexHNSWFlat(DIM, building.M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = building.EF_CONSTRUCTION
    with threads(faiss, n_cores()):
        index, ids, seconds = _filled(target, index)
    yield Figure("faiss HNSW, index build", seconds, "s", note="all cores")
    n_bytes = faiss.serialize_index(index).nbytes / len(ids)
    yield Figure("faiss HNSW, bytes of index", n_bytes, "B/image", note="with the vectors")
    wanted = gallery.truth(target, target.queries)
    for ef in EF_SEARCH:
        index.hnsw.efSearch = ef
        with threads(faiss, 1):
            taken = _one_by_one(index.search, ids, target.queries)
        name = f"faiss HNSW, efSearch {ef}"
        yield Figure(f"{name}, recall@10", gallery.recall(taken.rows, wanted), "")
        yield from timing.figures(name, taken)


def _filled(target: Gallery, index: Any) -> tuple[Any, gallery.Int64Array, float]:
    """Add all rows; return the index, their ids, and the seconds of adding only."""
    ids, seconds = [], 0.0
    for some, rows in gallery.stream(target, 50_000):
        began = time.perf_counter()
        index.add(rows)
        seconds += time.perf_counter() - began
        ids.append(some)
    return index, np.concatenate(ids), seconds


def _one_by_one(
    search: Callable[[Float32Array, int], Any], ids: gallery.Int64Array, queries: Float32Array
) -> timing.Taken:
    taken = timing.Taken()
    for query in queries:
        busy, began = time.thread_time(), time.perf_counter()
        _, rows = search(query[None], K)
        taken.clock.append((time.perf_counter() - began) * 1000)
        taken.processor.append((time.thread_time() - busy) * 1000)
        taken.rows.append([(int(id_),) for id_ in ids[rows[0]]])
    return taken
