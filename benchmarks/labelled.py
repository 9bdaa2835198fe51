"""Three labelled sets that recipes are chosen on, and their division into folds by group.

- `holidays`: photographs of one place or thing (INRIA Holidays, or a part of it).
- `grocery`: products photographed in shops; the others of the same product are relevant.
- `views`: two random views of each of some photographs, among other photographs: the other view and
  the photograph itself are relevant.

The last two are made from a folder of photographs with `labels.csv` (`file,label,...`).
"""

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from spocdb.evaluation import holidays
from spocdb.evaluation.benchmark import Benchmark, Query, find_images
from spocdb.settings import from_environment
from spocdb.training.views import Augmentation, framed, lit, opened

# Folds 0 to 3 choose; the last one is kept untouched until the choice is made.
N_FOLDS = 5
KEPT = N_FOLDS - 1
# The photographs of the views: every n-th of these folders, the others are distractors.
PHOTOGRAPHS, EVERY, SIDE = ("bsds500", "weather"), 4, 160
# Stronger than in training, so that finding a view is not trivial.
STRONG = Augmentation(area=0.25, colour=0.4, perspective=0.5, blur=0.3)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A benchmark, and the group of each of its queries, by name."""

    benchmark: Benchmark
    groups: Mapping[str, str]

    def fold(self, query: str) -> int:
        """Return the fold of a query: all queries of a group are in one."""
        digest = hashlib.sha256(self.groups[query].encode()).digest()
        return digest[0] % N_FOLDS


def read(holidays_folder: Path, corpus: Path, scratch: Path) -> list[Labelled]:
    """Return the three sets; the views are written to the folder `scratch`.

    Raises:
        ConfigError: A folder has no images, or those of Holidays have other names.
    """
    first = holidays.read(holidays_folder)
    queries = [query.name for query in first.variants[""]]
    return [
        Labelled(first, {name: name[:4] for name in queries}),
        _grocery(corpus),
        _views(corpus, scratch),
    ]


def _grocery(corpus: Path) -> Labelled:
    with (corpus / "labels.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["file"].startswith("grocery/")]
    labels = {Path(row["file"]).stem: row["label"] for row in rows}
    return Labelled(by_group("grocery", find_images(corpus / "grocery"), labels), labels)


def _views(corpus: Path, scratch: Path) -> Labelled:
    files = [file for name in PHOTOGRAPHS for file in sorted((corpus / name).glob("*.jpg"))]
    images = {_name(file): file for file in files}
    groups: dict[str, str] = {}
    for file in files[::EVERY]:
        group = _name(file)
        views = [f"{group}-{number}" for number in range(2)]
        for number, name in enumerate(views):
            images[name] = _view(file, scratch / f"{name}.jpg", number)
        groups |= dict.fromkeys([group, *views], group)
    return Labelled(by_group("views", images, groups), groups)


def _name(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def _view(file: Path, out: Path, number: int) -> Path:
    """Write a random view of a photograph, the same in every run."""
    rng = random.Random(f"{file.parent.name}/{file.name}/{number}")
    with opened(file, from_environment().limits) as image:
        view = framed(image, STRONG, rng)
    size = round(view.width * SIDE / min(view.size)), round(view.height * SIDE / min(view.size))
    pixels = lit(np.asarray(view.resize(size, Image.Resampling.BICUBIC)), STRONG, rng)
    Image.fromarray(pixels).save(out, quality=rng.randint(40, 90))
    return out


def by_group(
    name: str,
    images: Mapping[str, Path],
    groups: Mapping[str, str],
    measures: tuple[str, ...] = ("mAP",),
) -> Benchmark:
    """Return a set in which each grouped image is a query for the others of its group."""
    members: dict[str, set[str]] = defaultdict(set)
    for image, group in groups.items():
        members[group].add(image)
    queries = [
        Query(image, frozenset(members[group] - {image}), frozenset({image}))
        for image, group in sorted(groups.items())
        if len(members[group]) > 1
    ]
    return Benchmark(name, images, {"": queries}, measures)
