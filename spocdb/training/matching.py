"""Matching images, of which projections learn: images of one label, or views of one image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spocdb.api import Database
from spocdb.db import matching
from spocdb.db.collections import Collection
from spocdb.features.discriminative import Int64Array, Within, extended
from spocdb.features.shrinkage import N_FOLDS
from spocdb.projections import CHUNK_ROWS
from spocdb.records import Float32Array

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
