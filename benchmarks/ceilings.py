"""This machine's ceilings, measured with minimal programs.

They are matrix products, JPEG decoding, resizing, copying memory, and COPY into PostgreSQL.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch
from PIL import Image

from spocdb.bench.pictures import photograph
from spocdb.bench.stages import N_THREADS
from spocdb.db.connections import Connection
from spocdb.db.copy import copy_in, pack
from spocdb.features.backbones import find, names

# Large enough that start-up costs do not matter, and that the copy exceeds the caches.
SIDE, COPIED_BYTES = 3072, 512 * 2**20
ROUNDS, N_DECODED = 5, 20
N_ROWS, DIM = 20_000, 256

TABLES = """
CREATE TEMP TABLE ceiling_raw (sha256 bytea, descriptor halfvec);
CREATE TEMP TABLE ceiling_embedding (image_id bigint, embedding vector);
"""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """`flops` per second for each precision and `copied` bytes per second, with all cores.

    `decode` is one core's seconds for a generated photograph of 1024 x 768, `resize` those for
    scaling it to each preset's size.
    """

    n_cores: int
    flops: dict[str, float]
    decode: float
    resize: dict[int, float]
    copied: float

    def by_cores(self, seconds: float) -> tuple[float, str]:
        """Return all cores' rate of a task that takes one core `seconds`, and its derivation."""
        return self.n_cores / seconds, f"{1000 * seconds:.1f} ms on each of {self.n_cores} cores"


def measure() -> Ceilings:
    """Measure this machine; takes some seconds."""
    data = photograph(0)
    image = Image.open(io.BytesIO(data)).convert("RGB")

    def resize(size: int) -> object:
        return image.resize((size, size), Image.Resampling.BILINEAR)

    source = torch.ones(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return Ceilings(
        N_THREADS,
        {str(t).removeprefix("torch."): _flops(t) for t in (torch.float32, torch.bfloat16)},
        _seconds(lambda: Image.open(io.BytesIO(data)).convert("RGB"), N_DECODED),
        {
            size: _seconds(partial(resize, size), N_DECODED)
            for size in sorted({find(name).size for name in names()})
        },
        # Read once and written once.
        2 * COPIED_BYTES / _seconds(lambda: target.copy_(source)),
    )


def copy_rows(connection: Connection, channels: int) -> tuple[float, int]:
    """COPY raw descriptors and embeddings into bare tables; return rows/s and bytes per row."""
    rng = np.random.default_rng(0)
    raw = pack(
        {"sha256": "sha256", "descriptor": f"halfvec({channels})"},
        {
            "sha256": np.array([i.to_bytes(32, "big") for i in range(N_ROWS)], "V32"),
            "descriptor": rng.random((N_ROWS, channels), np.float32),
        },
    )
    embedding = pack(
        {"image_id": "bigint", "embedding": f"vector({DIM})"},
        {"image_id": np.arange(N_ROWS), "embedding": rng.random((N_ROWS, DIM), np.float32)},
    )

    def copy() -> None:
        with connection.transaction():
            copy_in(connection, "COPY ceiling_raw FROM STDIN (FORMAT binary)", [raw])
            copy_in(connection, "COPY ceiling_embedding FROM STDIN (FORMAT binary)", [embedding])

    connection.execute(TABLES)
    seconds = _seconds(copy)
    connection.execute("DROP TABLE ceiling_raw, ceiling_embedding")
    return N_ROWS / seconds, (len(raw) + len(embedding)) // N_ROWS


def _flops(dtype: torch.dtype) -> float:
    a = torch.rand(SIDE, SIDE).to(dtype)
    return 2 * SIDE**3 / _seconds(lambda: a @ a)


def _seconds(function: Callable[[], object], rounds: int = ROUNDS) -> float:
    function()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    # The median, as other load on the machine distorts the best and the mean.
    return median(taken)
