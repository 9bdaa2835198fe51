"""Real raw descriptors for the search benchmark: random crops of photographs.

From the repository's root: python -m benchmarks.crops OUT.npy --weights FILE FOLDER...
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from spocdb.features.extractor import load_extractor
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import sha256_of
from spocdb.records import UInt8Array

SIZE, CROPS, FILES_AT_ONCE = 128, 13, 256


def main() -> None:
    """Write the descriptors (n, 512) of all crops, thirteen of each photograph."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crops")
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, required=True, help="SqueezeNet 1.1, ImageNet")
    arguments = parser.parse_args()
    recipe = make_recipe("squeezenet1_1", sha256_of(arguments.weights), size=SIZE)
    extractor = load_extractor(recipe, arguments.weights)
    files = iter(sorted(f for folder in arguments.folders for f in folder.rglob("*.jpg")))
    rows = []
    with ThreadPoolExecutor() as pool:
        while some := list(islice(files, FILES_AT_ONCE)):
            rows += [extractor.extract(list(crops)) for crops in pool.map(_crops, some)]
    np.save(arguments.out, np.concatenate(rows).astype(np.float16))


def _crops(file: Path) -> Iterator[UInt8Array]:
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    rng = np.random.default_rng(list(file.name.encode()))
    for part in rng.uniform(0.45, 1, CROPS):
        width, height = int(image.width * part), int(image.height * part)
        left = int(rng.integers(0, image.width - width + 1))
        top = int(rng.integers(0, image.height - height + 1))
        box = (left, top, left + width, top + height)
        yield np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box))


if __name__ == "__main__":
    main()
