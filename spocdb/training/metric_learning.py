"""Metric learning: descriptors of one class become near to each other and far from other classes.

The database finds the hard negatives: at the start of an epoch the current descriptors go into a
working collection, whose index returns each image's nearest images of other classes.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from spocdb.api import Database
from spocdb.db import scratch
from spocdb.errors import ConfigError
from spocdb.features.network import Network
from spocdb.features.projection import project, raw_projection
from spocdb.features.recipes import channels
from spocdb.images.geometry import fitted
from spocdb.pipeline.chunks import chunks
from spocdb.records import Float32Array, Recipe, UInt8Array
from spocdb.training.feeding import feed
from spocdb.training.objectives import Objective
from spocdb.training.samples import Sample, Split
from spocdb.training.validation import describe, mean_average_precision
from spocdb.training.views import Augmentation, framed, lit, opened

# Batch size of passes without training.
LOOK_BATCH = 16


@dataclass(frozen=True, slots=True)
class Grouping:
    """A batch's groups: `per_class` images of a class, and `hard_negatives` of these images."""

    per_class: int = 4
    hard_negatives: int = 4

    @property
    def size(self) -> int:
        """Return the number of images in a group: a class's, and their hard negatives."""
        return self.per_class + self.hard_negatives

    def check(self, batch_size: int) -> None:
        """Check that a batch holds images of more than one class.

        Raises:
            ConfigError: `batch_size` is too small.
        """
        least = self.size if self.hard_negatives else 2 * self.per_class
        if batch_size < least:
            bound = f"at least {least}"
            raise ConfigError(
                f"batch_size must be {bound}: `per_class={self.per_class}` images of a class, and "
                "images of other classes",
                field="batch_size",
                bound=bound,
            )


class MetricLearning:
    """The task: descriptors distinguish classes, including classes that were not trained on."""

    def __init__(
        self,
        db: Database,
        name: str,
        recipe: Recipe,
        split: Split,
        augmentation: Augmentation,
        objective: Objective,
        grouping: Grouping,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._db, self._name, self._recipe, self._split = db, name, recipe, split
        self._augmentation, self._grouping, self._seed = augmentation, grouping, seed
        self._tuples_a_batch = batch_size // grouping.size
        self._objective = objective
        names = sorted({s.label for s in split.train})
        self._numbers = {label: number for number, label in enumerate(names)}
        self._classes: dict[str, list[int]] = defaultdict(list)
        for index, sample in enumerate(split.train):
            self._classes[sample.label].append(index)
        self._hard: dict[int, list[int]] = {}

    @property
    def head(self) -> nn.Module:
        """Return the loss, whose proxies are learned if it has any."""
        return self._objective.loss

    @property
    def n_batches(self) -> int:
        """Return the number of batches per epoch."""
        n_tuples = sum(-(-len(c) // self._grouping.per_class) for c in self._classes.values())
        return -(-n_tuples // self._tuples_a_batch)

    def begin(self, network: Network, epoch: int) -> None:
        """Find the hard negatives of the current network, using the database."""
        if not self._grouping.hard_negatives:
            return
        with torch.inference_mode():
            descriptors = self._described(network, self._split.train, torch.float32)
        labels = [sample.label for sample in self._split.train]
        dim = channels(self._recipe)
        whole = raw_projection(dim)
        name = f"training-{self._name}"
        with (
            self._db.engine.connection() as connection,
            scratch.opened(connection, name, self._recipe, dim) as collection,
        ):
            scratch.store(
                connection, collection, descriptors, labels, lambda _, raw: project(raw, whole)
            )
            self._hard = scratch.hard_negatives(
                connection,
                collection,
                self._grouping.hard_negatives,
                max(Counter(labels).values()),
            )

    def batches(self, epoch: int) -> Iterator[list[tuple[UInt8Array, int]]]:
        """Yield an epoch's batches: every image with others of its class and hard negatives."""
        rng = random.Random(f"{self._seed} order {epoch}")
        tuples = list(self._tuples(rng))
        rng.shuffle(tuples)
        batches = chunks(tuples, self._tuples_a_batch)
        # The place seeds the view, so that an image twice in a batch gets two different views.
        numbered = [list(enumerate(chain.from_iterable(batch))) for batch in batches]
        return feed(numbered, partial(self._seen, epoch))

    def loss(
        self, network: Network, batch: list[tuple[UInt8Array, int]], dtype: torch.dtype
    ) -> Tensor:
        """Return the loss of a batch's descriptors."""
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in batch]))
        descriptors: Tensor = network(pixels, dtype)
        labels = torch.tensor([number for _, number in batch], device=descriptors.device)
        return self._objective(descriptors, labels)

    def validate(self, network: Network, dtype: torch.dtype) -> float:
        """Return the mAP of retrieving a held-out class with each of its images as the query."""
        descriptors = self._described(network, self._split.held_out, dtype)
        return mean_average_precision(descriptors, [s.label for s in self._split.held_out])

    def _tuples(self, rng: random.Random) -> Iterator[list[int]]:
        n = self._grouping.per_class
        for members in self._classes.values():
            order = rng.sample(members, len(members))
            for group in chunks(order, n):
                others = [m for m in order if m not in group]
                # Fill up a small last group with other images of the class, without repetition.
                full = [*group, *others[: n - len(group)]]
                yield [*full, *self._hardest(full)]

    def _hardest(self, members: Sequence[int]) -> list[int]:
        """Return hard negatives, taken from the members in turn, without repetition."""
        n = self._grouping.hard_negatives
        ranked = [self._hard.get(m, []) for m in members]
        in_turn = [r[i] for i in range(n) for r in ranked if i < len(r)]
        return list(dict.fromkeys(in_turn))[:n]

    def _seen(self, epoch: int, item: tuple[int, int]) -> tuple[UInt8Array, int]:
        place, index = item
        sample = self._split.train[index]
        rng = random.Random(f"{self._seed} {sample.sha256} view {epoch} {place}")
        with self._opened(sample) as image:
            view = framed(image, self._augmentation, rng)
        pixels = fitted(view, self._recipe.size, self._recipe.fit, self._recipe.canvas)
        return lit(pixels, self._augmentation, rng), self._numbers[sample.label]

    def _opened(self, sample: Sample) -> AbstractContextManager[Image.Image]:
        return opened(sample.path, self._db.settings.limits, self._recipe.background)

    def _described(
        self, network: Network, samples: Sequence[Sample], dtype: torch.dtype
    ) -> Float32Array:
        """Return the descriptors (n, C) of whole images."""

        def make(sample: Sample) -> UInt8Array:
            with self._opened(sample) as image:
                return fitted(image, self._recipe.size, self._recipe.fit, self._recipe.canvas)

        groups = feed(chunks(samples, LOOK_BATCH), make)
        return np.concatenate([describe(network, pixels, dtype) for pixels in groups])
