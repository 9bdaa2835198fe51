"""Growth: time and bytes per image while a gallery grows."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pgvector import Vector
from psycopg.sql import SQL, Identifier

from benchmarks.database import gallery, loading, timing
from benchmarks.database.gallery import Gallery
from benchmarks.record import Figure
from spocdb.db import embeddings, indexes, recalls, writing
from spocdb.db.connections import one_row

N_QUERIES = 300

SIZES = """
SELECT pg_total_relation_size('spocdb.images'), pg_total_relation_size('spocdb.descriptors'),
       pg_table_size(%(table)s) + pg_relation_size(%(table)s || '_pkey'),
       pg_relation_size(%(table)s || '_hnsw')
"""


def run(target: Gallery) -> list[Figure]:
    """Load, index and search at each size; an existing index is rebuilt."""
    return [figure for size in sizes(target) for figure in _at(target, size)]


def sizes(target: Gallery) -> list[int]:
    """Return two sizes per decade, up to the whole, in whole stretches."""
    parts = (target.n_rows * part // 100 for part in (1, 3, 10, 30, 100))
    return sorted({max(n // target.stretch, 1) * target.stretch for n in parts})


def _at(target: Gallery, size: int) -> Iterator[Figure]:
    name = f"growth to {size:,}"
    connection = target.connection
    rate = load(target, size)
    if rate:
        yield Figure(f"{name}, write", 1e6 / rate, "us/image")
    of_gallery = connection, target.collection, target.collection.active_projection_id
    with peak_of_shared_memory() as peak:
        began = time.perf_counter()
        # Later steps compare with hand-written SQL over whole vectors.
        indexes.build(*of_gallery, "hnsw-vector")
        seconds = time.perf_counter() - began
    (memory,) = one_row(connection, "SHOW maintenance_work_mem")
    yield Figure(f"{name}, index build", seconds, "s", note=f"maintenance_work_mem {memory}")
    began = time.perf_counter()
    recalls.measure(*of_gallery)
    yield Figure(f"{name}, measuring recall", time.perf_counter() - began, "s")
    yield Figure(f"{name}, build memory", max(peak) / 1e6, "MB", note="shared, at its peak")
    table = f"spocdb.{target.table}"
    parts = one_row(connection, SIZES, {"table": table})
    for part, n_bytes in zip(("image", "raw", "embedding", "index"), parts, strict=True):
        yield Figure(f"{name}, bytes of {part}", n_bytes / size, "B/image")
    yield from _search(target, name)


def load(target: Gallery, size: int) -> float:
    """Load what is missing of the first images, without an index; return the rows per second."""
    first, last = target.count() // target.stretch, size // target.stretch
    if first < last:
        # Drop the index before the load; it is built afterwards.
        index = Identifier(f"{target.table}_hnsw")
        target.connection.execute(SQL("DROP INDEX IF EXISTS spocdb.{}").format(index))
    with target.db.engine.connect() as connection:
        writing.make_staging(connection)
        seconds = sum(loading.write(target, connection, n) for n in range(first, last))
    embeddings.analyze(target.connection, target.collection, target.collection.active_projection_id)
    return (last - first) * target.stretch / seconds if seconds else 0


def _search(target: Gallery, name: str) -> Iterator[Figure]:
    queries = target.queries[:N_QUERIES]
    with target.db.engine.connect() as connection:
        statement = f"SELECT id FROM spocdb.search('{target.collection.name}', %s)"
        ways = {"search": timing.way(connection, statement)}
        taken = timing.take_turns(ways, [Vector(query) for query in queries])["search"]
    yield from timing.figures(f"{name}, search", taken)
    part = gallery.recall(taken.rows, gallery.truth(target, queries))
    yield Figure(f"{name}, recall@10", part, "", note="queries that are not in the index")


@contextmanager
def peak_of_shared_memory() -> Iterator[list[int]]:
    """Yield a list of samples of the bytes in /dev/shm, where a parallel build keeps its graph."""
    seen, done = [0], threading.Event()
    before = _shared()

    def look() -> None:
        while not done.wait(0.05):
            seen.append(_shared() - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _shared() -> int:
    found = os.statvfs("/dev/shm")
    return (found.f_blocks - found.f_bfree) * found.f_frsize
