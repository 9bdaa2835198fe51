"""Ingest of photographs by VGG-19 on this machine's CPU, beside the straightforward script."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pgvector import Vector
from PIL import Image
from torchvision import models, transforms

from benchmarks.data import make_photographs
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db.engine import Connection
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import sha256_of
from spocdb.images.decode import decode
from spocdb.records import Float32Array

N_IMAGES, N_PEER_IMAGES, N_COSINES = 64, 16, 8


def run(db: Database, folder: Path, images: Path | None, squeezenet: Path | None) -> list[Figure]:
    """Measure images/s, what writing takes of it, and what the fast path costs in accuracy."""
    weights = _random_vgg19(folder / "vgg19.pth")
    source = images or make_photographs(folder / "photographs", N_IMAGES)
    files = sorted(source.glob("*.jpg"))[:N_IMAGES]
    # The first image loads the network, which the peer's time leaves out too.
    db.ingest(files[0], collection="ingesting", weights=weights, auto_pca=0)
    began = time.perf_counter()
    progress = db.ingest(*files[1:], collection="ingesting", weights=weights, auto_pca=0)
    rate = progress.n_new / (time.perf_counter() - began)
    peer = _straightforward(db.connection, files[:N_PEER_IMAGES], weights)
    figures = [
        Figure("ingest, vgg19 at 586, CPU", rate, "images/s", peer, "straightforward script"),
        Figure("ingest, writing's share", 100 * progress.writing / progress.seconds, "%"),
        _cosine("vgg19", weights, files, "random weights"),
    ]
    if squeezenet is not None:
        figures.append(_cosine("squeezenet1_1", squeezenet, files, "ImageNet weights"))
    return figures


def _random_vgg19(file: Path) -> Path:
    torch.manual_seed(0)
    trunk = models.vgg19(weights=None).features.state_dict(prefix="features.")
    torch.save(trunk, file)
    return file


def _straightforward(connection: Connection, files: list[Path], weights: Path) -> float:
    """What one writes in ten minutes: Pillow, torchvision in float32, one image, one INSERT."""
    network = models.vgg19(weights=None)
    network.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    trunk = network.features[:36].eval()
    prepare = transforms.Compose(
        [
            transforms.Resize((586, 586)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    connection.execute("CREATE TEMP TABLE straightforward (path text, embedding vector(512))")
    began = time.perf_counter()
    for file in files:
        with torch.no_grad():
            pooled = trunk(prepare(Image.open(file).convert("RGB"))[None]).sum(dim=(2, 3))
        embedding = torch.nn.functional.normalize(pooled)[0].numpy()
        connection.execute(
            "INSERT INTO straightforward VALUES (%s, %s)", [str(file), Vector(embedding)]
        )
    return len(files) / (time.perf_counter() - began)


def _cosine(preset: str, weights: Path, files: list[Path], note: str) -> Figure:
    recipe = make_recipe(preset, sha256_of(weights))
    pixels = [decode(f.read_bytes(), 586, "warp", 10**8).pixels for f in files[:N_COSINES]]

    def extract(precision: Any) -> Float32Array:
        return load_extractor(recipe, weights, "cpu", precision).extract(pixels)

    cosines = np.sum(extract("auto") * extract("float32"), axis=1)
    return Figure(f"least cosine to float32, {preset}", float(cosines.min()), "", note=note)
