"""Where images lie and who takes them: ingests of the same images by `mini`, in turns.

From the repository's root:
    python -m benchmarks.sources [--images N] [--objects N] [--keys N] [--turns N] [--record]

Then small objects of a bucket are read, beside boto3 in a thread pool, and many keys are listed.
The bucket is that of a server on this machine, which takes its part of the cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from benchmarks import record, storage
from benchmarks.listing import listing
from benchmarks.record import Figure
from benchmarks.storage import BUCKET
from spocdb.bench.pictures import write_photographs
from spocdb.db import embedded, schema
from spocdb.pipeline.prefetch import prefetching
from spocdb.pipeline.work import work_of
from spocdb.settings import from_environment
from spocdb.sources.opening import opened, terms_of

PROGRAM = Path(sys.executable).with_name("spocdb")
# Suffix of the records.
SOURCES = "-sources"
COLLECTION, LOCAL = "photos", "local files"
# Bytes of a small object, and threads of boto3, each with a connection.
N_BYTES, N_THREADS = 20_000, 32
N_SHARDS = 4
RAY_PORT = 6399

# The commands that ingest the images, in order.
Way = Sequence[Sequence[str]]


def reading(folder: Path, n_objects: int, turns: int) -> Iterator[Figure]:
    """Measure how many objects are read in a second: listed, read, hashed, as an ingest does it."""
    with storage.started(folder) as server:
        url = server.url
        os.environ.update(storage.variables(url))
        _fill(url, n_objects)
        ways: dict[str, Callable[[], int]] = {
            "spocdb": _read_by_spocdb,
            "boto3": partial(_read_by_boto3, url),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(turns):
            for name, read in ways.items():
                began = time.perf_counter()
                assert read() == n_objects
                rates[name].append(n_objects / (time.perf_counter() - began))
        ours, theirs = (statistics.median(rates[name]) for name in ways)
        note = f"{n_objects:,} of {N_BYTES // 1000} kB"
        yield Figure(
            "objects of a bucket", ours, "1/s", theirs, f"boto3 in {N_THREADS} threads", note
        )
        yield Figure("first of them", _seconds_to_the_first(), "s", note=note)


def _fill(url: str, n_objects: int) -> None:
    client = storage.client(url, N_THREADS)

    def put(number: int) -> None:
        data = number.to_bytes(4, "big") + bytes(N_BYTES - 4)
        client.put_object(Bucket=BUCKET, Key=f"small/{number:08}.jpg", Body=data)

    with ThreadPoolExecutor(N_THREADS) as pool:
        for _ in pool.map(put, range(n_objects)):
            pass


def _read_by_spocdb() -> int:
    settings = from_environment()
    source = opened([f"s3://{BUCKET}/small"], terms_of(settings))
    n = 0
    with prefetching(settings.limits) as prefetcher:
        for work in prefetcher.read(source.stream(source.refs()), work_of, lambda work: 0):
            n += len(work.data) == N_BYTES
            prefetcher.release([work])
    return n


def _read_by_boto3(url: str) -> int:
    """What one writes instead: pages of keys, a pool of threads; nothing is hashed."""
    client = storage.client(url, N_THREADS)

    def get(key: str) -> int:
        return len(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="small/")
    with ThreadPoolExecutor(N_THREADS) as pool:
        return sum(
            size == N_BYTES
            for page in pages
            for size in pool.map(get, [found["Key"] for found in page["Contents"]])
        )


def _seconds_to_the_first() -> float:
    began = time.perf_counter()
    source = opened([f"s3://{BUCKET}/small"], terms_of(from_environment()))
    _, get = next(iter(source.stream(source.refs())))
    get(N_BYTES)
    return time.perf_counter() - began


def ingesting(folder: Path, n_images: int, turns: int) -> Iterator[Figure]:
    """Measure whole commands that ingest the same images by `mini`, each into a new database."""
    local = _made(folder / "local")
    files = write_photographs(local, n_images)
    shards = [_shard(folder / f"{n:02}.tar", files[n::N_SHARDS]) for n in range(N_SHARDS)]
    options = ("-c", COLLECTION, "--extractor", "mini", "-q")
    data = folder / "data"
    with storage.started(_made(folder / "objects")) as bucket, _ray() as address:
        env = {k: v for k, v in os.environ.items() if not k.startswith("SPOCDB_")}
        env |= storage.variables(bucket.url) | {"SPOCDB_CACHE_DIR": str(folder / "cache")}
        for file in files:
            bucket.client.upload_file(str(file), BUCKET, f"photos/{file.name}")
        ingest = ("ingest", str(local), *options)
        ways: dict[str, Way] = {
            LOCAL: [ingest],
            "objects of a bucket": [("ingest", f"s3://{BUCKET}/photos", *options)],
            "tar shards": [("ingest", *map(str, shards), *options)],
            "queue and one worker": [(*ingest, "--enqueue"), ("worker", "--once", "-q")],
            "Ray on this machine": [(*ingest, "--ray", address)],
        }
        try:
            embedded.start(data)
            taken = _in_turns(embedded.admin_url(data), ways, env, n_images, turns)
        finally:
            embedded.stop(data)
    note = f"{n_images:,} of 1024 x 768, whole commands"
    for name, seconds in taken.items():
        rate, peer = n_images / seconds, n_images / taken[LOCAL]
        yield Figure(f"ingest, {name}", rate, "images/s", peer, LOCAL, note)


def _in_turns(
    server: str, ways: Mapping[str, Way], env: Mapping[str, str], n_images: int, turns: int
) -> dict[str, float]:
    """Return the median seconds of each way; the first turn compiles modules and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + turns):
        for name, commands in ways.items():
            with _database(server) as url:
                began = time.perf_counter()
                for command in commands:
                    subprocess.run([PROGRAM, *command, "--db", url], env=env, check=True)
                seconds[name].append(time.perf_counter() - began)
                _check(url, n_images)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


@contextmanager
def _database(server: str) -> Iterator[str]:
    """Make a database with spocdb for one ingest."""
    name = f"sources_{uuid4().hex[:8]}"
    url = make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            schema.upgrade(url)
            yield url
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _check(url: str, n_images: int) -> None:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM spocdb.photos").fetchone()
    assert found == (n_images,), f"{found} images of {n_images}"


@contextmanager
def _ray() -> Iterator[str]:
    """Start a cluster of one node, this machine; yield its address."""
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command = [*start, f"--port={RAY_PORT}", "--include-dashboard=false", "--disable-usage-stats"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cluster:
        assert cluster.stdout is not None
        try:
            next(line for line in cluster.stdout if "--address" in line or "started" in line)
            yield f"127.0.0.1:{RAY_PORT}"
        finally:
            cluster.terminate()


def _shard(file: Path, files: Sequence[Path]) -> Path:
    with tarfile.open(file, "w") as shard:
        for each in files:
            shard.add(each, each.name)
    return file


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    """Run the steps, print the figures, and record them on request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sources")
    parser.add_argument("--images", type=int, default=3_000, help="whole commands, with a start")
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root the database runs as another user
        figures = [
            *ingesting(_made(folder / "ingesting"), arguments.images, arguments.turns),
            *reading(_made(folder / "reading"), arguments.objects, arguments.turns),
            *listing(_made(folder / "listing"), arguments.keys),
        ]
    record.show(figures)
    if arguments.record:
        print(record.write([record.as_dict(figure) for figure in figures], SOURCES))


if __name__ == "__main__":
    main()
