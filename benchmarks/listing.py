"""A bucket of many objects: how fast its keys are listed, and how much memory that takes.

    python -m benchmarks.listing URI

lists in a process of its own, so that its peak memory is that of listing alone.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import storage
from benchmarks.memory import peak_so_far
from benchmarks.record import Figure
from benchmarks.storage import BUCKET
from spocdb.settings import from_environment
from spocdb.sources.opening import opened, terms_of

FOLDER = "many"
# Memory is compared with that after so many keys.
FEW = 10_000
N_WRITERS = 4


def listing(folder: Path, n_keys: int) -> Iterator[Figure]:
    """Measure a listing of empty objects beside boto3's, the time to the first, and its memory."""
    with storage.started(folder) as server:
        os.environ.update(storage.variables(server.url))
        _fill(server.files, n_keys)
        command = [sys.executable, "-m", "benchmarks.listing", f"s3://{BUCKET}/{FOLDER}"]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(ran.stdout)
        assert found["keys"] == n_keys, found
        began = time.perf_counter()
        assert _listed_by_boto3(server.url) == n_keys
        theirs = n_keys / (time.perf_counter() - began)
    note = f"{n_keys:,} keys"
    yield Figure("keys listed", n_keys / found["seconds"], "1/s", theirs, "boto3", note)
    yield Figure("first key and its object", found["first"], "s", note=note)
    few, peak = found["MB after a few"], found["MB"]
    yield Figure("listing, peak memory", peak, "MB", few, f"after {FEW:,} keys", note)


def _fill(files: str, n_keys: int) -> None:
    writers = [
        get_context("spawn").Process(target=_write, args=(files, first, n_keys))
        for first in range(N_WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0


def _write(files: str, first: int, n_keys: int) -> None:
    """Write each fourth object, without S3's signatures, which would take most of the time."""
    at = urlsplit(files)
    connection = http.client.HTTPConnection(at.netloc)
    for number in range(first, n_keys, N_WRITERS):
        connection.request("PUT", f"{at.path}/{FOLDER}/{number:08}.jpg", body=b"")
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 300, answer.status


def _listed_by_boto3(url: str) -> int:
    pages = storage.client(url).get_paginator("list_objects_v2")
    return sum(page["KeyCount"] for page in pages.paginate(Bucket=BUCKET, Prefix=f"{FOLDER}/"))


def main(uri: str) -> None:
    """List a bucket; print what was measured, as JSON."""
    began = time.perf_counter()
    source = opened([uri], terms_of(from_environment()))
    ref, get = next(iter(source.stream(source.refs())))
    assert get(1) == b"", ref
    first = time.perf_counter() - began
    began = time.perf_counter()
    refs = iter(source.refs())
    keys = sum(1 for _ in islice(refs, FEW))
    after = peak_so_far()
    keys += sum(1 for _ in refs)
    seconds = time.perf_counter() - began
    said = {"keys": keys, "first": first, "seconds": seconds, "MB after a few": after}
    print(json.dumps(said | {"MB": peak_so_far()}))


if __name__ == "__main__":
    main(sys.argv[1])
