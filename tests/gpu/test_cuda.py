"""Tests that need a CUDA device; `make bench-gpu` runs them there."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.fusion import RELU, FusedConv
from spocdb.features.graphs import Graphs
from spocdb.features.recipes import make_recipe
from spocdb.records import Float32Array, UInt8Array
from tests.fixtures.opened import Database

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    # Some versions of torch warn of each cuDNN algorithm that does not fit into memory.
    pytest.mark.filterwarnings("default"),
]

RECIPE = make_recipe("mini", "ab12", size=128)


def noise(n: int, size: int = 128) -> list[UInt8Array]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 8, 8, 3), np.uint8)
    resized = (Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC) for c in coarse)
    return [np.asarray(image) for image in resized]


def cosines(a: Float32Array, b: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.sum(a * b, axis=1) / lengths, np.float32)


@pytest.fixture(scope="module")
def cuda() -> Iterator[Extractor]:
    yield load_extractor(RECIPE, MINI, "cuda")


@pytest.fixture(scope="module")
def cpu() -> Extractor:
    return load_extractor(RECIPE, MINI, "cpu", "float32")


def test_descriptors_are_those_of_the_cpu_recorded_and_replayed(
    cuda: Extractor, cpu: Extractor
) -> None:
    images = noise(16)
    expected = cpu.extract(images)
    # Often enough that each lane replays its graph of this shape.
    for _ in range(5 * cuda.n_lanes):
        assert cosines(cuda.extract(images), expected).min() > 0.999
    others = [np.ascontiguousarray(image[::-1]) for image in images]
    assert cosines(cuda.extract(others), cpu.extract(others)).min() > 0.999


def test_a_graph_gives_what_it_was_recorded_of() -> None:
    compute = Graphs(lambda batch: batch.float().mean(dim=(1, 2)))
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        for value in range(6):
            batch = torch.full((4, 8, 8, 3), value, dtype=torch.uint8, device="cuda")
            assert (compute(batch) == value).all()
    assert len(compute._graphs) == 1


def test_what_lies_in_the_memory_does_not_come_into_a_convolution() -> None:
    """cuDNN's fused step multiplies an uninitialised output by zero, and NaN times zero is NaN."""
    device = torch.device("cuda", 0)
    conv = torch.nn.Conv2d(64, 64, 3, padding=1)
    fused = FusedConv(conv, RELU, torch.bfloat16, device)
    x = torch.rand(8, 64, 96, 96, device=device)
    expected = conv.to(device)(x).relu()
    for _ in range(3):
        left = torch.full_like(expected, torch.nan, dtype=torch.bfloat16)
        left = left.to(memory_format=torch.channels_last)
        del left
        given = fused(x.to(memory_format=torch.channels_last)).float()
        torch.testing.assert_close(given, expected, rtol=0.05, atol=0.05)


def test_a_batch_too_large_for_the_memory_is_halved(cuda: Extractor) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        raw = cuda.extract(noise(2, 512) * 400)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert raw.shape == (800, cuda.dim)


def test_an_ingest_decodes_on_the_device(db: Database, tmp_path: Path, cpu: Extractor) -> None:
    paths = [tmp_path / f"{i:03}.jpg" for i in range(300)]
    for path, image in zip(paths, noise(len(paths), 200), strict=True):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=95)
        path.write_bytes(stream.getvalue())
    # Only the end of the file is damaged.
    paths[-1].write_bytes(paths[-1].read_bytes()[:-700])
    options: dict[str, Any] = {"extractor": "mini", "size": 128, "device": "cuda", "batch_size": 32}
    progress = db.ingest(tmp_path, collection="photos", **options)
    assert (progress.n_new, progress.n_failed) == (299, 1)
    hits = db.search(paths[0], 1, collection="photos", device="cpu")
    assert hits[0].path == str(paths[0])
    assert hits[0].distance < 0.01
