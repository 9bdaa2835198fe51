"""Memory: the peak of an ingest's process by number of images; also the cost of imports."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.record import Figure
from spocdb.db import embedded

PROGRAM = Path(sys.executable).with_name("spocdb")
SIDE = 96
# Options for a quick ingest, so that many images take minutes.
OPTIONS = ("--extractor", "mini", "--size", "64", "--auto-pca", "0")
N_STARTS = 5
# Polling would miss the end of a process, in which torch's libraries touch another 100 MB.
LAUNCHER = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
os.write(int(sys.argv[1]), str(peak).encode())
sys.exit(code)
"""


def run(folder: Path, few: int, many: int) -> list[Figure]:
    """Measure the peak memory of ingesting `few` and `many` images, each by a new process."""
    peaks = [_ingest(folder / f"memory-{n}", n) for n in (few, many)]
    libraries = peak_megabytes([sys.executable, "-c", "import torch, torchvision"], os.environ)
    return [
        Figure(
            f"ingest, peak memory, {many:,} images", peaks[1], "MB", peaks[0], f"{few:,} images"
        ),
        Figure("torch and torchvision alone, peak memory", libraries, "MB"),
        *_starts(),
    ]


def make_pictures(folder: Path, n: int) -> Path:
    """Write `n` different small JPEGs, a thousand per folder."""
    rng = np.random.default_rng(0)
    for i in range(n):
        part = folder / f"{i // 1000:03}"
        if i % 1000 == 0:
            part.mkdir(parents=True)
        blobs = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        blobs.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(part / f"{i:06}.jpg", quality=80)
    return folder


def _ingest(folder: Path, n: int) -> float:
    images, data = make_pictures(folder / "images", n), folder / "data"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPOCDB_")}
    environment |= {"SPOCDB_DATA_DIR": str(data), "SPOCDB_CACHE_DIR": str(folder / "cache")}
    try:
        return peak_megabytes([str(PROGRAM), "ingest", str(images), *OPTIONS], environment)
    finally:
        embedded.stop(data)


def megabytes() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_megabytes(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command that must succeed; return its process's peak memory in MB, its end included."""
    here, there = os.pipe()
    with open(here) as answer:
        try:
            # Of a small process: what `wait4` returns includes the memory of the parent.
            launch = [sys.executable, "-c", LAUNCHER, str(there), *command]
            subprocess.run(launch, env=environment, pass_fds=[there], check=True)
        finally:
            os.close(there)
        return int(answer.read()) * 1024 / 1e6


def peak_so_far() -> float:
    """Return the kernel's high-water mark of this process in MB."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e6


def _starts() -> list[Figure]:
    return [
        Figure("import spocdb", _import("spocdb"), "ms", _import("torch"), "import torch"),
        Figure("spocdb --help", _help(), "ms", note="from the shell and back"),
    ]


def _import(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    return 1000 * min(float(subprocess.check_output(command)) for _ in range(N_STARTS))


def _help() -> float:
    taken = []
    for _ in range(N_STARTS):
        began = time.perf_counter()
        subprocess.check_output([PROGRAM, "--help"])
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken)
