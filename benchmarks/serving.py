"""`spocdb serve` with `mini` at 100,000 images, beside a plain script of FastAPI and pgvector."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path

import httpx

from benchmarks import data
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import collections, projections
from spocdb.db.writing import make_staging, write
from spocdb.features.backbones.mini import CHANNELS, WEIGHTS
from spocdb.features.projection import project
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import sha256_of

NAME, DIM, K = "served", 256, 10
N_TOGETHER, N_PICTURES, LEAST_ASKED = 16, 12, 20
PEER = "plain script"

Ask = Callable[[httpx.Client, int], httpx.Response]


def run(db: Database, folder: Path, n_rows: int, seconds: float) -> list[Figure]:
    """Measure the time of a search by upload and by id, and 16 clients at once, in turns."""
    _fill(db, n_rows)
    pictures = [
        f.read_bytes() for f in sorted(data.make_photographs(folder / "asked", 12).iterdir())
    ]
    with db.engine.connection() as connection:
        target = collections.get(connection, NAME)
        (first,) = connection.execute(
            "SELECT min(id) FROM spocdb.images WHERE collection_id = %s", [target.id]
        ).fetchone() or (0,)
    table = f"embeddings_{target.id}_{target.active_projection_id}"

    def by_upload(client: httpx.Client, n: int) -> httpx.Response:
        return client.post(f"search?k={K}", content=pictures[n % len(pictures)])

    def by_id(client: httpx.Client, n: int) -> httpx.Response:
        return client.get(f"similar?k={K}&id={first + 37 * n % n_rows}")

    ours = [sys.executable, "-m", "spocdb", "serve", "--db", db.url, "--port"]
    theirs = [sys.executable, "-m", "benchmarks.plain_server", db.url, table]
    with started(ours) as port, started(theirs) as peer_port:
        ends = {
            "": f"http://127.0.0.1:{port}/api/v1/collections/{NAME}/",
            PEER: f"http://127.0.0.1:{peer_port}/",
        }
        return [
            *_one_client("search by upload", by_upload, ends, seconds),
            *_one_client("search by id", by_id, ends, seconds),
            *_together(by_upload, ends, seconds),
        ]


def _fill(db: Database, n_rows: int) -> None:
    """Make a collection of `mini` with generated descriptors, and its projection and index."""
    recipe = make_recipe("mini", sha256_of(WEIGHTS))
    with db.engine.connection() as connection:
        target = collections.create(connection, NAME, recipe, CHANNELS)
        load = cache(partial(projections.load, connection))
        make_staging(connection)
        stretch = min(data.STRETCH, n_rows)
        for number in range(n_rows // stretch):
            raw = data.make_stretch(number, stretch)[0][:, :CHANNELS]
            for batch in data.in_batches(raw, NAME, stretch, number * stretch):
                write(connection, target, batch, lambda n, rows: project(rows, load(n)))
    db.pca.activate(db.pca.fit(NAME, dim=DIM), NAME)


@contextmanager
def started(command: list[str]) -> Iterator[int]:
    """Start a server on a free port; wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended") from None
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _one_client(name: str, ask: Ask, ends: dict[str, str], seconds: float) -> list[Figure]:
    """Ask in turns, so that a noisy moment meets both; the first answers are not counted."""
    taken: dict[str, list[float]] = {end: [] for end in ends}
    clients = {end: httpx.Client(base_url=url, timeout=60) for end, url in ends.items()}
    for client in clients.values():
        for n in range(3):
            ask(client, n).raise_for_status()
    until = time.perf_counter() + seconds
    for n in count():
        if n >= LEAST_ASKED and time.perf_counter() > until:
            break
        for end, client in clients.items():
            began = time.perf_counter()
            ask(client, n).raise_for_status()
            taken[end].append(1000 * (time.perf_counter() - began))
    ours, theirs = taken[""], taken[PEER]
    return [
        Figure(f"{name}, p50", statistics.median(ours), "ms", statistics.median(theirs), PEER),
        Figure(f"{name}, p95", _p95(ours), "ms", _p95(theirs), PEER),
    ]


def _together(ask: Ask, ends: dict[str, str], seconds: float) -> list[Figure]:
    rates = {
        (end, n): _rate(ask, url, n, seconds) for end, url in ends.items() for n in (1, N_TOGETHER)
    }
    one, many = rates["", 1], rates["", N_TOGETHER]
    return [
        Figure("uploads, one client", one, "1/s", rates[PEER, 1], PEER),
        Figure(f"uploads, {N_TOGETHER} clients", many, "1/s", rates[PEER, N_TOGETHER], PEER),
        Figure(f"uploads, {N_TOGETHER} clients", many, "1/s", one, "one client"),
    ]


def _rate(ask: Ask, url: str, n_clients: int, seconds: float) -> float:
    """Return the answers per second of n clients at once; an error ends the benchmark."""
    until = time.perf_counter() + seconds

    def client(number: int) -> int:
        with httpx.Client(base_url=url, timeout=60) as own:
            n_answers = 0
            while time.perf_counter() < until:
                ask(own, number + n_answers).raise_for_status()
                n_answers += 1
            return n_answers

    began = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as threads:
        n_answers = sum(threads.map(client, range(n_clients)))
    return n_answers / (time.perf_counter() - began)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
