"""How a CPU runs a network fastest: spocdb's choices compared with the alternatives.

Threads that share an image or have one each, processes, batches, precisions, fused layers,
torch.compile, and other runtimes if installed. Run with `python -m benchmarks layouts`.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import runtimes
from benchmarks.record import Figure
from benchmarks.runtimes import Work
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import load_state_dict
from spocdb.records import Recipe

N_CORES = torch.get_num_threads()
# Images in the network at a time, in every layout.
N_AT_ONCE = 8


def run(preset: str, weights: Path, seconds: float) -> list[Figure]:
    """Measure images/s without decoding, of spocdb and of each other layout."""
    recipe = make_recipe(preset, "")
    ours = _ours(recipe, weights)
    figures = []
    for name, work in _others(recipe, weights).items():
        # Layouts that torch cannot compile here are left out.
        with suppress(RuntimeError):
            mine, theirs = _beside(ours, work, seconds)
            figures.append(Figure(f"{preset}, beside {name}", mine, "images/s", theirs, name))
    mine, theirs = _rate(ours, seconds), _in_processes(recipe, weights, seconds)
    name = f"{N_CORES} processes"
    return [*figures, Figure(f"{preset}, beside {name}", mine, "images/s", theirs, name)]


def _ours(recipe: Recipe, weights: Path) -> Work:
    """Return spocdb's layout: an image per core, fused layers, the CPU's best precision."""
    extractor = load_extractor(recipe, weights, "cpu")
    pixels = [np.full((recipe.size, recipe.size, 3), i, np.uint8) for i in range(N_AT_ONCE)]
    return lambda: extractor.extract(pixels)


def _others(recipe: Recipe, weights: Path) -> dict[str, Work]:
    trunk = build_trunk(recipe, load_state_dict(weights)).to(memory_format=torch.channels_last)
    images = torch.randn(N_AT_ONCE, 3, recipe.size, recipe.size)
    batch = images.contiguous(memory_format=torch.channels_last)
    each = torch.split(batch, 1)
    pool = ThreadPoolExecutor(N_CORES, initializer=torch.set_num_threads, initargs=(1,))
    low, full = torch.bfloat16, torch.float32
    compiled = partial(_pooled, torch.compile(trunk), low)
    return {
        "float32, all cores an image": lambda: [_pooled(trunk, full, x) for x in each],
        "float32, all cores a batch": partial(_pooled, trunk, full, batch),
        "bfloat16, all cores an image": lambda: [_pooled(trunk, low, x) for x in each],
        "bfloat16, all cores a batch": partial(_pooled, trunk, low, batch),
        "bfloat16, a core an image": lambda: list(pool.map(partial(_pooled, trunk, low), each)),
        "torch.compile, a core an image": lambda: list(pool.map(compiled, each)),
        **runtimes.installed(trunk, images),
    }


def _pooled(network: Callable[[Tensor], Tensor], dtype: torch.dtype, images: Tensor) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        pooled: Tensor = network(images).float().sum(dim=(2, 3))
    return pooled


def _beside(ours: Work, theirs: Work, seconds: float) -> tuple[float, float]:
    """Return both rates, measured alternately so that noise affects both alike."""
    ours(), theirs()
    took, n = [0.0, 0.0], 0
    while sum(took) < 2 * seconds:
        for i, work in enumerate((ours, theirs)):
            began = time.perf_counter()
            work()
            took[i] += time.perf_counter() - began
        n += N_AT_ONCE
    return n / took[0], n / took[1]


def _rate(work: Work, seconds: float) -> float:
    work()
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        n += N_AT_ONCE
    return n / (time.perf_counter() - began)


def _in_processes(recipe: Recipe, weights: Path, seconds: float) -> float:
    """Return the total rate of one process per core."""
    context = get_context("spawn")
    with context.Pool(N_CORES, torch.set_num_threads, (1,)) as processes:
        jobs = [(recipe, weights, seconds)] * N_CORES
        return sum(processes.starmap(_alone, jobs))


def _alone(recipe: Recipe, weights: Path, seconds: float) -> float:
    return _rate(_ours(recipe, weights), seconds)
