"""Generated data for the benchmarks, deterministic, in place of real data."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spocdb.bench.pictures import photograph
from spocdb.db import collections
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.features.recipes import make_recipe
from spocdb.records import Float32Array, ImageRef, NewDescriptor

CHANNELS = 512
# Rows that are generated at a time and written as one batch.
STRETCH = 5000


def make_photographs(folder: Path, n: int) -> Path:
    """Write `n` different JPEGs of 1024 x 768 with the detail of photographs."""
    folder.mkdir()
    for i in range(n):
        (folder / f"{i:04}.jpg").write_bytes(photograph(i))
    return folder


def make_descriptors(n: int, members: int = 12) -> Float32Array:
    """Return raw descriptors (n, 512), not negative, as after a ReLU, in groups of near-duplicates.

    Like those of photographs they lie on a manifold of few dimensions, here 32, which a random
    network maps into 512. Isotropic vectors would have no meaningful neighbours.
    """
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(-(-n // members), 32)).astype(np.float32)
    points = np.repeat(groups, members, axis=0)[:n]
    points += 0.35 * rng.normal(size=points.shape).astype(np.float32)
    return _bend(points, rng)


def make_stretch(
    number: int, n: int = STRETCH, members: int = 12
) -> tuple[Float32Array, Float32Array]:
    """Return the descriptors (n, 512) of one stretch of a large set, and a query for each group.

    All stretches lie on one manifold like that of `make_descriptors`, so that a million rows can be
    generated piece by piece. The queries are not in the set.
    """
    rng = np.random.default_rng([1, number])
    n_groups = -(-n // members)
    groups = rng.normal(size=(n_groups, 1, 32)).astype(np.float32)
    points = groups + 0.35 * rng.normal(size=(n_groups, members + 1, 32)).astype(np.float32)
    inside = points[:, :members].reshape(-1, 32)[:n]
    return _bend(inside, np.random.default_rng(0)), _bend(points[:, -1], np.random.default_rng(0))


def make_rows(n: int) -> Float32Array:
    """Return the first descriptors (n, 512) of the large set."""
    return np.concatenate([make_stretch(i)[0] for i in range(-(-n // STRETCH))])[:n]


def _bend(points: Float32Array, rng: np.random.Generator) -> Float32Array:
    for shape in ((32, 256), (256, CHANNELS)):
        points = np.maximum(points @ rng.normal(size=shape).astype(np.float32), 0)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float16).astype(np.float32)


def make_collection(connection: Connection, name: str) -> Collection:
    """Create an empty collection for generated descriptors."""
    return collections.create(connection, name, make_recipe("squeezenet1_1", "0" * 64), CHANNELS)


def in_batches(descriptors: Float32Array, name: str, size: int, first: int = 0) -> Iterator[Batch]:
    """Yield batches like those of an ingest, of files that do not exist.

    The files are numbered from `first`; the number is also their size and time.
    """
    for begin in range(0, len(descriptors), size):
        images, new = [], {}
        for i, descriptor in enumerate(descriptors[begin : begin + size], first + begin):
            sha256 = hashlib.sha256(f"{name} {i}".encode()).digest()
            images.append((ImageRef(f"/{name}/{i:08}.jpg", f"{i} {i}"), sha256))
            new[sha256] = NewDescriptor(640, 480, descriptor)
        yield Batch(images, new)
