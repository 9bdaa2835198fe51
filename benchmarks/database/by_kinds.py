"""Searches by each kind of index: the same images in a collection for each kind, asked in turns."""

import time
from collections.abc import Iterator

import numpy as np
from pgvector import Vector

from benchmarks import data
from benchmarks.database import gallery, timing
from benchmarks.database.gallery import DIM, Gallery, K
from benchmarks.record import Figure
from spocdb.db import indexes, kinds, recalls, writing
from spocdb.db.connections import one_row
from spocdb.db.kinds import Kind
from spocdb.features.projection import project

N_IMAGES, N_QUERIES = 50_000, 300
WANTED = 0.99

SEARCH = "SELECT id, distance FROM spocdb.search('{name}', %s, {k}, exact => {exact})"
WIDTH = "SELECT spocdb.ef_search(%s, %s, %s)"


def run(target: Gallery) -> list[Figure]:
    """Build an index of each kind over the same images, then search by all."""
    n = min(N_IMAGES, target.n_rows)
    raw = data.make_rows(n)
    names: dict[Kind, str] = {kind: f"by {kind}" for kind in kinds.offered(target.connection)}
    try:
        made = {
            kind: gallery.open(target.db, target.connection, name, n)
            for kind, name in names.items()
        }
        figures = [f for kind, one in made.items() for f in _build(one, names[kind], kind, raw)]
        return [*figures, *_searches(target, made)]
    finally:
        known = {one.name for one in target.db.collections()}
        for name in known.intersection(names.values()):
            target.db.drop(name)


def _build(made: Gallery, name: str, kind: Kind, raw: np.ndarray) -> Iterator[Figure]:
    connection, number = made.connection, made.collection.active_projection_id
    writing.make_staging(connection)
    for batch in data.in_batches(raw, name, data.STRETCH):
        writing.write(connection, made.collection, batch, lambda _, r: project(r, made.fitted))
    note = f"{len(raw):,} x {DIM}"
    if kind == "hnsw-halfvec":
        began = time.perf_counter()
        lost = kinds.lost(connection, made.collection, number, kind)
        seconds = time.perf_counter() - began
        yield Figure(f"{name}, lost whatever the width", lost, "", note=note)
        yield Figure(f"{name}, measuring what is lost", seconds, "s", note=note)
    began = time.perf_counter()
    recall = indexes.build(connection, made.collection, number, kind)
    yield Figure(f"{name}, index build", time.perf_counter() - began, "s", note=note)
    if recall is None:
        recalls.measure(connection, made.collection, number)
    n_bytes = gallery.bytes_of(made, f"spocdb.{made.table}_hnsw")
    yield Figure(f"{name}, bytes of index", n_bytes / len(raw), "B/image", note=note)
    width = one_row(connection, WIDTH, [made.collection.id, number, K])[0]
    yield Figure(f"{name}, width", width, "", note=f"for a recall of {WANTED}")


def _searches(target: Gallery, made: dict[Kind, Gallery]) -> Iterator[Figure]:
    queries = target.queries[:N_QUERIES]
    with target.db.engine.connect() as connection:
        ways = {
            f"by {kind}": timing.way(connection, SEARCH.format(name=f"by {kind}", k=K, exact=False))
            for kind in made
        }
        taken = timing.take_turns(ways, [Vector(query) for query in queries])
    plain = float(np.median(taken["by hnsw-vector"].clock))
    for kind, one in made.items():
        results = taken[f"by {kind}"]
        part = gallery.recall(results.rows, gallery.truth(one, queries))
        yield Figure(f"by {kind}, recall@10", part, "", note="queries that are not in the index")
        yield Figure(
            f"by {kind}, p50",
            float(np.median(results.clock)),
            "ms",
            peer=plain,
            peer_name="by hnsw-vector, in turns",
        )
