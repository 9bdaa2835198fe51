"""Matching images, of which projections learn: images of one label, or views of one image."""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Protocol

import numpy as np
from PIL import Image

from spocdb.api import Database
from spocdb.db import matching
from spocdb.db.collections import Collection
from spocdb.errors import ImageError, InvalidValue
from spocdb.features.discriminative import Int64Array, Within, extended
from spocdb.features.extractor import Extractor
from spocdb.features.precision import Precision
from spocdb.features.shrinkage import N_FOLDS
from spocdb.images.geometry import fitted
from spocdb.pipeline.chunks import chunks
from spocdb.projections import CHUNK_ROWS
from spocdb.records import Float32Array, Recipe, UInt8Array
from spocdb.training.feeding import feed, paced
from spocdb.training.views import Augmentation, decoded, framed, lit
from spocdb.wording import counted

log = logging.getLogger(__name__)

# More images hardly change the covariance of 512 dimensions, and each goes through the network
# once for each view.
MOST_VIEWED = 5000
AUGMENTATION = Augmentation(area=0.4, perspective=0.3)
# Views that are described together; three times as many are made ahead.
VIEWS_TOGETHER = 32

# Descriptors (n, C) and the number of each one's class (n,); sorted by class over all chunks.
Chunk = tuple[Float32Array, Int64Array]


class Matches(Protocol):
    """Where matching images come from."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a projection's settings say of them."""

    @property
    def missing(self) -> str:
        """Return what to do if they are too few."""

    def chunks(self, db: Database, collections: list[Collection]) -> Iterator[Chunk]:
        """Yield the descriptors of matching images of the collections, class by class."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with the same value of a metadata key match."""

    key: str

    @property
    def settings(self) -> dict[str, Any]:
        """Return the key."""
        return {"labels": self.key}

    @property
    def missing(self) -> str:
        """Return what to do if there are too few."""
        return f"label more images by {self.key!r}, or learn from `views=4`"

    def chunks(self, db: Database, collections: list[Collection]) -> Iterator[Chunk]:
        """Yield stored descriptors; no image is read."""
        with db.engine.connection() as connection:
            for rows in matching.labelled(connection, collections, self.key, CHUNK_ROWS):
                yield rows["descriptor"].astype(np.float32), rows["class"].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Views:
    """Random views of an image match it and each other: `n` of each image, by a seed.

    The images are read again, and the views go through the network of the collections' extractor.
    Of more than `MOST_VIEWED` images a random choice is viewed, the same one every time.

    Raises:
        ConfigError: There are no views.
    """

    n: int
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidValue("views", self.n, "1 or more")

    @property
    def settings(self) -> dict[str, Any]:
        """Return the number of views and the seed."""
        return {"views": self.n, "views_seed": self.seed}

    @property
    def missing(self) -> str:
        """Return what to do if there are too few."""
        return "ingest more images, or bring the files back"

    def chunks(self, db: Database, collections: list[Collection]) -> Iterator[Chunk]:
        """Yield the stored descriptor of each image, and those of its views.

        Images that cannot be read are left out; a warning gives their number and the first reason.
        """
        recipe = collections[0].recipe
        with db.engine.connection() as connection:
            found = list(chain(*matching.some(connection, collections, MOST_VIEWED)))
        extractor = db.engine.extractor(recipe, self.device, self.precision)
        groups = list(chunks(found, max(1, VIEWS_TOGETHER // self.n)))
        unreadable: list[str] = []
        tell, n_seen = paced(), 0
        for group, made in zip(groups, feed(groups, partial(self._made, db, recipe)), strict=True):
            unreadable += [views for views in made if isinstance(views, str)]
            seen = [
                (row["descriptor"], views)
                for row, views in zip(group, made, strict=True)
                if not isinstance(views, str)
            ]
            if seen:
                numbers = np.arange(n_seen, n_seen + len(seen))
                yield self._described(extractor, seen), numbers.repeat(self.n + 1)
            n_seen += len(seen)
            tell(f"views of {n_seen:,} of {counted(len(found), 'image')}")
        if unreadable:
            log.warning(
                "left out: %s that cannot be read, such as %s",
                counted(len(unreadable), "image"),
                unreadable[0],
            )

    def _described(
        self, extractor: Extractor, seen: list[tuple[Float32Array, list[UInt8Array]]]
    ) -> Float32Array:
        """Return the stored descriptor of each image, followed by those of its views."""
        described = extractor.extract([*chain.from_iterable(views for _, views in seen)])
        stored = np.stack([descriptor for descriptor, _ in seen]).astype(np.float32)
        views = described.reshape(len(seen), self.n, -1)
        return np.concatenate([stored[:, None], views], axis=1).reshape(-1, stored.shape[1])

    def _made(self, db: Database, recipe: Recipe, row: Any) -> list[UInt8Array] | str:
        """Return the views of an image, or why it cannot be read."""
        try:
            with decoded(db.read(int(row["id"])), db.settings.limits, recipe.background) as image:
                return [self._view(image, recipe, row["sha256"], k) for k in range(self.n)]
        except ImageError as error:
            return f"image {row['id']}: {error}"

    def _view(self, image: Image.Image, recipe: Recipe, sha256: Any, k: int) -> UInt8Array:
        rng = random.Random(f"{self.seed} {sha256.tobytes().hex()} view {k}")
        framing = framed(image, AUGMENTATION, rng)
        pixels = fitted(framing, recipe.size, recipe.fit, recipe.canvas)
        return lit(pixels, AUGMENTATION, rng)


def sums(matches: Iterator[Chunk], channels: int) -> list[Within]:
    """Return the sums of `N_FOLDS` parts of the classes, in one pass."""
    folds = [Within.nothing(channels)] * N_FOLDS
    for descriptors, classes in matches:
        # Classes are numbered in the order of their names, so that every n-th is a random part.
        parts = (classes % N_FOLDS == fold for fold in range(N_FOLDS))
        folds = [
            extended(fold, descriptors[part], classes[part])
            for fold, part in zip(folds, parts, strict=True)
        ]
    return folds
