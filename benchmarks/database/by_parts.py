"""Embeddings in one table and in several: the same images in a collection each, in turns."""

import time
from collections.abc import Iterator, Mapping

import numpy as np
from pgvector import Vector

from benchmarks import data
from benchmarks.database import gallery, timing
from benchmarks.database.gallery import Gallery, K
from benchmarks.record import Figure
from spocdb.db import building, collections, indexes, recalls, sessions, writing
from spocdb.db.batch import Batch
from spocdb.db.connections import Connection, one_row
from spocdb.features.projection import project
from spocdb.features.recipes import make_recipe

N_IMAGES, N_QUERIES, N_BUILDS = 20_000, 300, 3
PARTITIONS = (1, 4, 16)
WANTED = 0.99
# Too small for the graph of all images in one table, enough for that of a sixteenth of them.
LITTLE = "8MB"

SEARCH = "SELECT id, distance FROM spocdb.search('{name}', %s, {k}, exact => {exact})"
WIDTH = "SELECT spocdb.ef_search(%s, %s, %s)"


def run(target: Gallery) -> list[Figure]:
    """Write, build and search collections in 1, 4 and 16 tables."""
    n = min(N_IMAGES, target.n_rows)
    raw = data.make_rows(n)
    names = {parts: f"in {parts}" for parts in PARTITIONS}
    try:
        made = {parts: _open(target, name, parts, n) for parts, name in names.items()}
        figures = [*_write(made, raw), *_build(made), *_searches(target, made)]
    finally:
        known = {one.name for one in target.db.collections()}
        for name in known.intersection(names.values()):
            target.db.drop(name)
    return figures


def _open(target: Gallery, name: str, parts: int, n: int) -> Gallery:
    recipe = make_recipe("squeezenet1_1", "0" * 64)
    collections.create(target.connection, name, recipe, data.CHANNELS, parts)
    return gallery.open(target.db, target.connection, name, n)


def _write(made: Mapping[int, Gallery], raw: np.ndarray) -> Iterator[Figure]:
    connection = made[1].connection
    writing.make_staging(connection)

    def write(one: Gallery) -> timing.Way:
        def ask(batch: Batch) -> timing.Rows:
            writing.write(connection, one.collection, batch, lambda _, r: project(r, one.fitted))
            return []

        return timing.Way(connection, ask)

    taken = {parts: timing.Taken() for parts in made}
    # Under names of their own, so that each writes its descriptors.
    batches = [data.in_batches(raw, f"in {parts}", 500) for parts in made]
    for turn in zip(*batches, strict=True):
        for (parts, one), batch in zip(made.items(), turn, strict=True):
            timing.ask(write(one), batch, taken[parts])
    plain = float(np.median(taken[1].processor))
    for parts, results in taken.items():
        each = float(np.median(results.processor))
        yield Figure(f"{parts} tables, write", each, "ms", plain, "one table", "500 images")


def _build(made: Mapping[int, Gallery]) -> Iterator[Figure]:
    for memory in ("", LITTLE):
        taken: dict[int, list[float]] = {parts: [] for parts in made}
        for _ in range(N_BUILDS if made[1].n_rows >= N_IMAGES else 1):
            for parts, one in made.items():
                taken[parts].append(_seconds(one, memory))
        plain = float(np.median(taken[1]))
        note = f"within {memory}" if memory else "graphs in memory"
        for parts, seconds in taken.items():
            each = float(np.median(seconds))
            yield Figure(f"{parts} tables, index build", each, "s", plain, "one table", note)
    for parts, one in made.items():
        number = one.collection.active_projection_id
        recalls.measure(one.connection, one.collection, number)
        width = one_row(one.connection, WIDTH, [one.collection.id, number, K])[0]
        yield Figure(f"{parts} tables, width", width, "", note=f"for a recall of {WANTED}")


def _seconds(one: Gallery, memory: str) -> float:
    """Return the seconds of a build with this memory for all graphs; "": as much as it asks for."""
    before = building.MOST_BUILD_MEMORY

    def connect() -> Connection:
        return one.db.engine.connect()

    try:
        with sessions.raised(one.connection, maintenance_work_mem=memory or "64MB"):
            building.MOST_BUILD_MEMORY = 1 if memory else before
            began = time.perf_counter()
            number = one.collection.active_projection_id
            indexes.build(one.connection, one.collection, number, "hnsw-halfvec", connect)
            return time.perf_counter() - began
    finally:
        building.MOST_BUILD_MEMORY = before


def _searches(target: Gallery, made: Mapping[int, Gallery]) -> Iterator[Figure]:
    queries = target.queries[:N_QUERIES]
    asked = [Vector(query) for query in queries]
    for exact in (False, True):
        with target.db.engine.connect() as connection:
            ways = {
                str(parts): timing.way(
                    connection, SEARCH.format(name=f"in {parts}", k=K, exact=exact)
                )
                for parts in made
            }
            taken = timing.take_turns(ways, asked[:50] if exact else asked)
        plain = float(np.median(taken["1"].processor))
        how = "exact search" if exact else "search"
        for parts, one in made.items():
            results = taken[str(parts)]
            each = float(np.median(results.processor))
            yield Figure(f"{parts} tables, {how}", each, "ms", plain, "one table", "of processor")
            if not exact:
                part = gallery.recall(results.rows, gallery.truth(one, queries))
                yield Figure(f"{parts} tables, recall@10", part, "", note="queries outside")
