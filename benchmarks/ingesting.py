"""Ingest on the CPU with VGG-19 and `mini`, compared with scripts that run the same network."""

import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pgvector import Vector
from PIL import Image
from psycopg.sql import SQL, Identifier, Literal
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from benchmarks.data import make_photographs
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db.connections import Connection
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import channels, make_recipe
from spocdb.features.trunks import Trunk, build_trunk
from spocdb.features.weights import load_state_dict, sha256_of
from spocdb.images.decode import decode
from spocdb.records import Float32Array, Recipe

N_COSINES = 8
# Size of the photographs for the small network, and how many times more of them.
SMALL, TIMES_SMALL = (640, 480), 10


def run(
    db: Database, folder: Path, images: Path | None, squeezenet: Path | None, n_images: int
) -> list[Figure]:
    """Measure images/s, the share of writing, and the loss of accuracy by bfloat16.

    VGG-19 takes `n_images`, its peers a quarter of them, `mini` ten times as many.
    """
    vgg19 = _random_vgg19(folder / "vgg19.pth")
    source = images or make_photographs(folder / "photographs", n_images)
    files = sorted(source.glob("*.jpg"))[:n_images]
    small = _resized(files, folder / "small", TIMES_SMALL * n_images)
    figures = [
        *_ingest(db, "vgg19", vgg19, files, n_images // 4),
        *_ingest(db, "mini", MINI, small, TIMES_SMALL * n_images // 4, " from 640 x 480"),
        _cosine("vgg19", vgg19, files, "random weights"),
        _cosine("mini", MINI, files, "its own weights"),
    ]
    if squeezenet is not None:
        figures.append(_cosine("squeezenet1_1", squeezenet, files, "ImageNet weights"))
    return figures


def _ingest(
    db: Database, preset: str, weights: Path, files: list[Path], n_peer: int, what: str = ""
) -> list[Figure]:
    options: dict[str, Any] = {"collection": preset, "extractor": preset, "weights": weights}
    # The first image loads the network, which is not timed for the peers either.
    db.ingest(files[0], auto_pca=0, thumbnails=False, **options)
    began = time.perf_counter()
    progress = db.ingest(*files[1:], auto_pca=0, thumbnails=False, **options)
    rate = progress.n_new / (time.perf_counter() - began)
    recipe = make_recipe(preset, "")
    name = f"ingest, {preset} at {recipe.size}, CPU{what}"
    trunk = build_trunk(recipe, load_state_dict(weights))
    with db.engine.connection() as connection:
        script = _straightforward(connection, files[:n_peer], recipe, trunk)
    one_by_one = _one_at_a_time(files[:n_peer], recipe, trunk)
    return [
        Figure(name, rate, "images/s", script, "straightforward script"),
        Figure(f"{name}; rows too", rate, "images/s", one_by_one, "one image at a time, no rows"),
        Figure(
            f"ingest, {preset}, writing's share", 100 * progress.writing / progress.seconds, "%"
        ),
    ]


def _resized(files: list[Path], folder: Path, n: int) -> list[Path]:
    """Write `n` different JPEGs of `SMALL` pixels."""
    folder.mkdir()
    made = []
    for i, file in enumerate(islice(cycle(files), n)):
        made.append(folder / f"{i:04}.jpg")
        with Image.open(file) as image:
            # Shifted by a pixel each round, so that the bytes differ.
            part = image.convert("RGB").crop((i // len(files), 0, *image.size))
            part.resize(SMALL, Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made


def _random_vgg19(file: Path) -> Path:
    torch.manual_seed(0)
    trunk = models.vgg19(weights=None).features.state_dict(prefix="features.")
    torch.save(trunk, file)
    return file


def _transform(recipe: Recipe) -> transforms.Compose:
    return transforms.Compose(
        [
            transforms.Resize((recipe.size, recipe.size)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


def _straightforward(
    connection: Connection, files: list[Path], recipe: Recipe, trunk: Trunk
) -> float:
    """A minimal script: Pillow, torchvision in float32, one image and one INSERT at a time."""
    transform = _transform(recipe)
    table = Identifier(f"straightforward_{recipe.backbone}")
    create = SQL("CREATE TEMP TABLE {} (path text, embedding vector({}))")
    connection.execute(create.format(table, Literal(channels(recipe))))
    insert = SQL("INSERT INTO {} VALUES (%s, %s)").format(table)
    began = time.perf_counter()
    for file in files:
        with torch.no_grad():
            pooled = trunk(transform(Image.open(file).convert("RGB"))[None]).sum(dim=(2, 3))
        embedding = torch.nn.functional.normalize(pooled)[0].numpy()
        connection.execute(insert, [str(file), Vector(embedding)])
    return len(files) / (time.perf_counter() - began)


class _Photographs(Dataset[Tensor]):
    """Images transformed as in cnnimageretrieval-pytorch."""

    def __init__(self, files: list[Path], recipe: Recipe) -> None:
        self._files, self._transform = files, _transform(recipe)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        transformed: Tensor = self._transform(Image.open(self._files[index]).convert("RGB"))
        return transformed


def _one_at_a_time(files: list[Path], recipe: Recipe, trunk: Trunk) -> float:
    """cnnimageretrieval-pytorch's `extract_vectors`: a loader of batches of one, in float32."""
    loader = DataLoader(_Photographs(files, recipe), batch_size=1, num_workers=2)
    vectors = torch.zeros(channels(recipe), len(files))
    began = time.perf_counter()
    with torch.no_grad():
        for i, image in enumerate(loader):
            pooled = trunk(image).sum(dim=(2, 3))
            vectors[:, i] = torch.nn.functional.normalize(pooled)[0]
    return len(files) / (time.perf_counter() - began)


def _cosine(preset: str, weights: Path, files: list[Path], note: str) -> Figure:
    recipe = make_recipe(preset, sha256_of(weights))
    shown = files[:N_COSINES]
    pixels = [decode(f.read_bytes(), recipe.size, "warp", 10**8).pixels for f in shown]

    def extract(precision: Any) -> Float32Array:
        return load_extractor(recipe, weights, "cpu", precision).extract(pixels)

    cosines = np.sum(extract("auto") * extract("float32"), axis=1)
    return Figure(f"least cosine to float32, {preset}", float(cosines.min()), "", note=note)
