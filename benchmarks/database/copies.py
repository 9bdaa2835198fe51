"""Searches among copies: how much of what is nearest the index finds, the more images are the same.

An element of pgvector's HNSW has up to ten rows of equal embeddings, and links to at most 32 others
(2 m). Of a content with more than some 320 images all links lead to copies.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from pgvector import Vector

from benchmarks import data
from benchmarks.database import gallery, timing
from benchmarks.database.gallery import DIM, Gallery, Int64Array, K
from benchmarks.record import Figure
from spocdb.db import indexes, writing
from spocdb.db.batch import Batch
from spocdb.features.projection import project
from spocdb.records import Float32Array, ImageRef, NewDescriptor

N_IMAGES, N_QUERIES = 20_000, 200
NAME = "copies"
# A distance that differs by no more comes from another order of additions.
ROUNDING = 1e-5

SEARCH = "SELECT distance FROM spocdb.search('copies', %s, {k})"
VIEW = "SELECT 1 + (embedding <#> %s) FROM spocdb.copies ORDER BY embedding <#> %s LIMIT {k}"


def run(target: Gallery) -> list[Figure]:
    """Measure recall@10 of searches with images of the collection, in five collections."""
    n = min(N_IMAGES, target.n_rows)
    raw = data.make_rows(n)
    return [
        figure
        for name, contents in _mixtures(n).items()
        for figure in _of(target, name, contents, raw)
    ]


def _mixtures(n: int) -> Mapping[str, Int64Array]:
    """Return for each collection the numbers (n,) of its images' contents, in any order."""
    rng = np.random.default_rng(0)
    few, half = n // 10, n // 2
    made = {
        "no copies": np.arange(n),
        "10 % copies": np.concatenate([np.arange(n - few), rng.integers(n - few, size=few)]),
        "50 % copies": np.concatenate([np.arange(half), rng.integers(half, size=half)]),
        "5 % of one content": np.concatenate([np.arange(n - n // 20), np.zeros(n // 20, int)]),
        "50 % of one content": np.concatenate([np.arange(half), np.zeros(half, int)]),
    }
    return {name: rng.permutation(contents) for name, contents in made.items()}


def _of(target: Gallery, name: str, contents: Int64Array, raw: Float32Array) -> Iterator[Figure]:
    made = gallery.open(target.db, target.connection, NAME, len(contents))
    try:
        writing.make_staging(target.connection)
        for batch in _batches(contents, raw):
            writing.write(
                target.connection,
                made.collection,
                batch,
                lambda _, rows: project(rows, made.fitted),
            )
        number = made.collection.active_projection_id
        indexes.build(target.connection, made.collection, number, "hnsw-vector")
        yield from _recalls(target, name, project(raw, made.fitted), contents)
    finally:
        target.db.drop(NAME)


def _batches(contents: Int64Array, raw: Float32Array) -> Iterator[Batch]:
    for begin in range(0, len(contents), data.STRETCH):
        images, new = [], {}
        for i, content in enumerate(contents[begin : begin + data.STRETCH].tolist(), begin):
            sha256 = hashlib.sha256(f"{NAME} {content}".encode()).digest()
            images.append((ImageRef(f"/{NAME}/{i:08}.jpg", f"{i} {i}"), sha256))
            new[sha256] = NewDescriptor(640, 480, raw[content])
        yield Batch(images, new)


def _recalls(
    target: Gallery, name: str, embedded: Float32Array, contents: Int64Array
) -> Iterator[Figure]:
    known = np.unique(contents)
    asked = embedded[known[:: max(1, len(known) // N_QUERIES)]]
    exactly = 1 - asked @ embedded[contents].T
    farthest = np.partition(exactly, K - 1, axis=1)[:, K - 1]
    with target.db.engine.connect() as connection:
        # As search() sets it.
        connection.execute("SET hnsw.ef_search = 100")
        ways = {
            "search()": timing.way(connection, SEARCH.format(k=K)),
            "the view": timing.way(connection, VIEW.format(k=K), 2),
        }
        taken = timing.take_turns(ways, [Vector(query) for query in asked])
    for way, results in taken.items():
        pairs = zip(results.rows, farthest, strict=True)
        n_found = sum(row[0] <= limit + ROUNDING for rows, limit in pairs for row in rows)
        note = f"{len(contents):,} x {DIM}"
        yield Figure(f"{name}, {way}, recall@10", n_found / (K * len(asked)), "", note=note)
        yield from timing.figures(f"{name}, {way}", results)
