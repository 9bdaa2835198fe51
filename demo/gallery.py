"""The demo's pictures: views of the photographs in scikit-image and scikit-learn.

Every photograph is cropped, rotated, mirrored, brightened and compressed in several ways. So the
right answers of a search are known: the other views of the same subject.
"""

import csv
import random
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

N_VIEWS = 12
# Sides of a photograph. A view has 400 at most; rotating more would only take longer.
MOST_PIXELS = 640
# Where a subject has two photographs, the views alternate between them.
SUBJECTS = {
    "astronaut": ("astronaut.png",),
    "brick": ("brick.png",),
    "camera": ("camera.png",),
    "cells": ("cell.png",),
    "chelsea": ("chelsea.png",),
    "china": ("china.jpg",),
    "clock": ("clock_motion.png",),
    "coffee": ("coffee.png",),
    "coins": ("coins.png",),
    "flower": ("flower.jpg",),
    "grass": ("grass.png",),
    "gravel": ("gravel.png",),
    "hubble": ("hubble_deep_field.jpg",),
    "moon": ("moon.png",),
    "motorcycle": ("motorcycle_left.png", "motorcycle_right.png"),
    "page": ("page.png",),
    "retina": ("retina.jpg",),
    "rocket": ("rocket.jpg",),
    "tissue": ("ihc.png",),
}


def make_gallery(folder: Path, subjects: Collection[str] = SUBJECTS) -> tuple[Path, list[Path]]:
    """Write the subjects' views into `folder`/images and their photographs into `folder`/queries.

    Returns the metadata file (path, subject, view) of the views, and the photographs.
    """
    images, queries = folder / "images", folder / "queries"
    images.mkdir(parents=True, exist_ok=True)
    queries.mkdir(parents=True, exist_ok=True)
    metadata = folder / "gallery.csv"
    with metadata.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "subject", "view"))
        for subject in subjects:
            names = SUBJECTS[subject]
            photographs = [_photograph(name) for name in names]
            _scaled(photographs[0], 480).save(queries / f"{subject}.jpg", quality=92)
            for view in range(1, N_VIEWS + 1):
                path = images / f"{subject}-{view:02}.jpg"
                _write_view(photographs[view % len(names)], path)
                rows.writerow((path.absolute(), subject, view))
    return metadata, sorted(queries.iterdir())


def _photograph(name: str) -> Image.Image:
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        # Importing the packages would take seconds.
        spec = find_spec(package)
        if spec and spec.origin and (source := Path(spec.origin).parent / folder / name).is_file():
            photograph = Image.open(source).convert("RGB")
            photograph.thumbnail((MOST_PIXELS, MOST_PIXELS))
            return photograph
    raise FileNotFoundError(f"neither scikit-image nor scikit-learn brings {name}")


def _write_view(photograph: Image.Image, path: Path) -> None:
    # Seeded with the name, so that a view does not change when others are added.
    chance = random.Random(path.name)
    view = photograph.rotate(chance.uniform(-8, 8), Image.Resampling.BICUBIC)
    view = _crop(view, chance)
    if chance.random() < 0.5:
        view = ImageOps.mirror(view)
    view = ImageEnhance.Brightness(view).enhance(chance.uniform(0.75, 1.3))
    view = ImageEnhance.Contrast(view).enhance(chance.uniform(0.75, 1.3))
    _scaled(view, chance.randint(200, 400)).save(path, quality=chance.randint(50, 92))


def _crop(view: Image.Image, chance: random.Random) -> Image.Image:
    # Within a margin, to leave out the black corners of the rotation.
    width, height = (round(side * chance.uniform(0.5, 0.84)) for side in view.size)
    x = round(chance.uniform(0.08 * view.width, 0.92 * view.width - width))
    y = round(chance.uniform(0.08 * view.height, 0.92 * view.height - height))
    return view.crop((x, y, x + width, y + height))


def _scaled(picture: Image.Image, side: int) -> Image.Image:
    return ImageOps.contain(picture, (side, side))
