"""Measures each stage of an ingest alone, using all threads, for a few seconds."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, cycle, islice
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from spocdb.db import writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import ConfigError, ImageError
from spocdb.images.decode import decode
from spocdb.machine import n_cores
from spocdb.pipeline.prefetch import prefetch
from spocdb.pipeline.work import Work, work_of
from spocdb.records import Decoded, ImageRef, NewDescriptor, Recipe, UInt8Array
from spocdb.sinks import projecting
from spocdb.sources import files

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

# Images held in memory, which are decoded and described repeatedly.
N_HELD = 64
N_ROUND_TRIPS = 20

N_THREADS = n_cores()


def reading(paths: Sequence[str], seconds: float, max_bytes: int) -> tuple[float, list[bytes]]:
    """Read and hash files; return images/s and the bytes of the first files.

    Raises:
        ConfigError: No file can be read.
    """
    held: list[bytes] = []
    errors: list[ImageError] = []

    def read(pool: ThreadPoolExecutor) -> Iterator[int]:
        def read_one(path: str) -> Work[ImageRef]:
            return work_of(ImageRef(path), partial(files.read, path), max_bytes)

        for work in prefetch(pool, read_one, paths, 2 * N_THREADS):
            if work.error:
                errors.append(work.error)
            elif len(held) < N_HELD:
                held.append(work.data)
            yield 1

    with ThreadPoolExecutor(N_THREADS) as pool:
        rate = _rate(read(pool), seconds)
    if not held:
        raise ConfigError(f"none of these images can be read: {errors[0]}")
    return rate, held


def decoding(
    held: Sequence[bytes], recipe: Recipe, seconds: float, max_pixels: int
) -> tuple[float, list[Decoded]]:
    """Decode and resize for a recipe; return images/s and the decoded images.

    Raises:
        ConfigError: No image can be decoded.
    """
    errors: list[ImageError] = []

    def decode_one(data: bytes) -> Decoded | None:
        try:
            return decode(data, recipe.size, recipe.fit, max_pixels, recipe.canvas)
        except ImageError as error:
            errors.append(error)
            return None

    with ThreadPoolExecutor(N_THREADS) as pool:
        decoded = [image for image in pool.map(decode_one, held) if image]
        if not decoded:
            raise ConfigError(f"none of these images can be decoded: {errors[0]}")
        again = prefetch(pool, decode_one, cycle(held), 2 * N_THREADS)
        rate = _rate((1 for _ in again), seconds)
        again.close()
    return rate, decoded


def computing(extractor: "Extractor", pixels: Sequence[UInt8Array], seconds: float) -> float:
    """Compute raw descriptors in batches; return images/s."""
    size = extractor.batch_size
    # Warm-up: the choice of kernels and precision happens once and is not measured.
    extractor.extract(pixels[: 2 if extractor.device.type == "cpu" else size])
    images = cycle(pixels)
    some = (list(islice(images, size)) for _ in count())
    return _rate((len(extractor.extract(batch)) for batch in some), seconds)


def writes(connection: Connection, collection: Collection, size: int, seconds: float) -> float:
    """Project and write synthetic descriptors, `size` per transaction; return images/s."""
    writing.make_staging(connection)
    projected = projecting(connection)

    def write() -> Iterator[int]:
        for batch in _made_up(collection, size):
            writing.write(connection, collection, batch, projected)
            yield size

    written = write()
    next(written)  # warm-up: the first batch creates the tables
    return _rate(written, seconds)


def round_trip(connection: Connection) -> float:
    """Return the median round trip to the database in milliseconds."""
    taken = []
    for _ in range(N_ROUND_TRIPS):
        began = time.perf_counter()
        connection.execute("SELECT 1")
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)


def _made_up(collection: Collection, size: int) -> Iterator[Batch]:
    rng = np.random.default_rng(0)
    for number in count():
        raw = rng.random((size, collection.channels), np.float32)
        raw /= np.linalg.norm(raw, axis=1, keepdims=True)
        keys = [(number * size + i).to_bytes(32, "big") for i in range(size)]
        yield Batch(
            [(ImageRef(key.hex()), key) for key in keys],
            {key: NewDescriptor(1, 1, row) for key, row in zip(keys, raw, strict=True)},
        )


def _rate(done: Iterable[int], seconds: float) -> float:
    began, n_done, taken = time.perf_counter(), 0, 0.0
    for n in done:
        n_done += n
        taken = time.perf_counter() - began
        if taken > seconds:
            break
    return n_done / max(taken, 1e-9)
