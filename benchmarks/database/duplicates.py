"""Near-duplicates of the whole gallery: found from nothing, and beside what is known already."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.database import gallery, growth, peers
from benchmarks.database.gallery import DIM, Gallery, K
from benchmarks.memory import megabytes
from benchmarks.record import Figure
from spocdb import duplicates
from spocdb.db import indexes, spaces
from spocdb.machine import n_cores
from spocdb.records import Float32Array

# Two in three images have another one as near as that, on average two or three.
DISTANCE = 0.2
# Images whose neighbours the peer finds; its time for all is that of these, in proportion.
N_PEER = 4096
# Images that are compared again, as if they were new, and searched with.
N_NEW = 1000

COUNTS = """
SELECT (SELECT count(*) FROM spocdb.duplicate_pairs p
        WHERE p.collection_id = %(collection)s AND p.projection_id = %(projection)s),
       (SELECT count(DISTINCT m.keeper_id) FROM spocdb.duplicate_members m
        WHERE m.collection_id = %(collection)s AND m.projection_id = %(projection)s)
"""
SOME = """
SELECT id, sha256 FROM spocdb.images WHERE collection_id = %s ORDER BY sha256 LIMIT %s
"""
NOTE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT %(collection)s, %(projection)s, unnest(%(contents)s::bytea[])
"""
DROP = """
DELETE FROM spocdb.duplicate_searches
WHERE collection_id = %(collection)s AND projection_id = %(projection)s
"""


def run(target: Gallery) -> list[Figure]:
    """Measure a first find beside faiss and, with an index, a new image beside a search.

    What is missing of the gallery is loaded first, without an index: a first find needs none.
    """
    growth.load(target, target.n_rows)
    space = spaces.active(target.connection, target.collection)
    try:
        figures = [*_from_nothing(target, space)]
        if indexes.exists(target.connection, target.collection, space.projection):
            figures += _beside_known(target, space)
        return figures
    finally:
        target.connection.execute(DROP, space.key)


def _from_nothing(target: Gallery, space: spaces.Space) -> Iterator[Figure]:
    memory: list[float] = []
    compared: list[float] = []

    def look(done: int, due: int) -> None:
        memory.append(megabytes())
        compared.append(time.perf_counter())

    began = time.perf_counter()
    target.db.duplicates.find(target.collection.name, distance=DISTANCE, on_done=look)
    seconds = time.perf_counter() - began
    counted = target.connection.execute(COUNTS, space.key).fetchone()
    pairs, groups = counted or (0, 0)
    note = f"{target.n_rows:,} x {DIM}: {pairs:,} pairs up to {DISTANCE:g}, {groups:,} groups"
    peer = _by_faiss(target)
    name = f"faiss flat, range search, from {N_PEER:,} queries" if peer else ""
    rate = target.n_rows / (compared[-1] - began)
    yield Figure("duplicates, first find", seconds, "s", peer, name, note)
    yield Figure("duplicates, compared", rate, "rows/s", note="with reading all; then grouped")
    yield Figure("duplicates, memory of the process", max(memory), "MB", note="with torch")


def _by_faiss(target: Gallery) -> float | None:
    """Return the seconds in which faiss compares everything in memory; None if it is missing."""
    try:
        import faiss
    except ImportError:
        return None
    index: Any = faiss.IndexFlatIP(DIM)
    some: list[Float32Array] = []
    for _, rows in gallery.stream(target, 50_000):
        index.add(rows)
        some += [rows] if not some else []
    queries = np.concatenate(some)[:N_PEER]
    with peers.threads(faiss, n_cores()):
        began = time.perf_counter()
        index.range_search(queries, 1 - DISTANCE)
        return (time.perf_counter() - began) * target.n_rows / len(queries)


def _beside_known(target: Gallery, space: spaces.Space) -> Iterator[Figure]:
    rows = target.connection.execute(SOME, [target.collection.id, N_NEW]).fetchall()
    began = time.perf_counter()
    for id, _ in rows:
        target.db.similar(id, K, collection=target.collection.name)
    searched = (time.perf_counter() - began) / len(rows) * 1000
    hashes = [sha256 for _, sha256 in rows]
    target.connection.execute(NOTE, space.key | {"contents": hashes})
    began = time.perf_counter()
    duplicates.catch_up(target.connection, [space])
    compared = (time.perf_counter() - began) / len(rows) * 1000
    note = f"{len(rows):,} images beside {target.n_rows:,}"
    yield Figure("duplicates, an image more", compared, "ms", searched, "a search in Python", note)
