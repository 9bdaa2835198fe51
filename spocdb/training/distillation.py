"""Distillation: a small network learns a large one's descriptors, on images without labels.

The target is the teacher's whitened descriptor of the same view, so that every dimension has the
same weight, as in a search. The loss is the cosine distance, the regression of Budnik & Avrithis,
"Asymmetric metric learning for knowledge transfer" (CVPR 2021), and the copy-detection term of
`copies.py` if it has a weight.
"""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from spocdb.features.network import Network
from spocdb.images.geometry import fitted
from spocdb.pipeline.chunks import chunks
from spocdb.records import Float32Array, Recipe, UInt8Array
from spocdb.settings import Limits
from spocdb.training.copies import Copies, nearest_of_each, side_by_side
from spocdb.training.feeding import feed, paced
from spocdb.training.last_layer import fit_last
from spocdb.training.samples import Sample, Split
from spocdb.training.teaching import MOST_FOR_PCA, Teachers, Where
from spocdb.training.validation import describe, mean_average_precision
from spocdb.training.views import Augmentation, framed, lit, opened
from spocdb.wording import counted

log = logging.getLogger(__name__)

# The views for validation: parts of a held-out image that may have little in common.
HARD = Augmentation(area=0.15, colour=0.3, blur=0.3)
N_HELD_OUT_VIEWS = 2
# Batch size of passes without training.
LOOK_BATCH = 16

Describe = Callable[[Sequence[UInt8Array]], Float32Array]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One view of an image: the student's input, and each teacher's, none if already described.

    `copy` is another view for the student, None if copies are not learned.
    """

    where: Where
    student: UInt8Array
    taught: Sequence[UInt8Array]
    copy: UInt8Array | None


class Distillation:
    """The task: the student's descriptor of a view should equal the target from its teachers.

    Each image has `n_views` fixed frames. Epoch e uses frame (e - 1) mod `n_views`, so that a
    teacher describes each frame only once. The student's view also changes its light in every
    epoch, with the same target. The copy of an image is another one in every epoch, without target.
    """

    def __init__(
        self,
        recipe: Recipe,
        teachers: Teachers,
        split: Split,
        augmentation: Augmentation,
        copies: Copies,
        *,
        n_views: int,
        batch_size: int,
        seed: int,
        limits: Limits,
    ) -> None:
        self._recipe, self._teachers, self._split = recipe, teachers, split
        self._augmentation, self._copies, self._n_views = augmentation, copies, n_views
        self._batch_size, self._seed, self._limits = batch_size, seed, limits
        self._nearest = np.empty((0, 0), np.int64)

    def fit_targets(self, dim: int) -> float:
        """Describe the first frames with the teachers, fit the targets, return the teachers' mAP.

        The mAP is measured as in `validate` and bounds what a student can be expected to reach by
        imitation alone.

        Raises:
            ConfigError: The teachers have too few dimensions.
            NotEnoughSamples: There are too few images.
        """
        self._teachers.check(len(self._split.train), dim, self._recipe.background)
        where = [(i, 0) for i in range(len(self._split.train))][:MOST_FOR_PCA]
        batches = chunks([image for image, _ in where], LOOK_BATCH)
        unseen = [batch for batch in batches if not self._known(batch, 0)]
        images = counted(sum(map(len, unseen)), "image")
        names = ", ".join(teacher.recipe.name for teacher in self._teachers.each)
        log.info("the teachers (%s) look at %s", names, images)
        tell, n_seen = paced(), 0
        for lessons in feed(unseen, lambda image: self._lesson(image, 0, 0, known=False)):
            self._see(lessons)
            n_seen += len(lessons)
            tell(f"the teachers: {n_seen} of {images}")
        self._teachers.fit(where, dim)
        if self._copies.weight:
            self._nearest = nearest_of_each(self._teachers.targets(where))
        seen = [self._held_out_views(t.recipe, t.extractor.extract) for t in self._teachers.each]
        targets = self._teachers.target([descriptors for descriptors, _ in seen])
        return mean_average_precision(targets, seen[0][1])

    def fit_last(self, network: Network) -> None:
        """Fit a new last layer of the student to the targets of the first frames."""
        train = range(len(self._split.train))
        lessons = feed(
            chunks(train, LOOK_BATCH), lambda image: self._lesson(image, 0, 1, known=True)
        )
        fit_last(network, ((_pixels(batch), self._targets(batch)) for batch in lessons))

    @property
    def head(self) -> nn.Module:
        """Return an empty module: the loss learns nothing itself."""
        return nn.Module()

    @property
    def n_batches(self) -> int:
        """Return the number of batches per epoch."""
        return -(-len(self._split.train) // self._batch_size)

    def begin(self, network: Network, epoch: int) -> None:
        """Do nothing: this task needs no preparation."""

    def batches(self, epoch: int) -> Iterator[list[Lesson]]:
        """Yield an epoch's batches, with every image once."""
        order = list(range(len(self._split.train)))
        random.Random(f"{self._seed} order {epoch}").shuffle(order)
        order = list(side_by_side(order, self._nearest))
        view = (epoch - 1) % self._n_views
        batches = [*chunks(order, self._batch_size)]
        known = {image for batch in batches if self._known(batch, view) for image in batch}
        return feed(batches, lambda i: self._lesson(i, view, epoch, known=i in known))

    def loss(self, network: Network, batch: list[Lesson], dtype: torch.dtype) -> Tensor:
        """Return the mean cosine distance of the student's descriptors to the targets.

        The copy-detection term is added if it has a weight.
        """
        self._see(batch)
        targets = torch.from_numpy(self._targets(batch))
        copies = [lesson.copy for lesson in batch if lesson.copy is not None]
        pixels = torch.from_numpy(np.stack([*(lesson.student for lesson in batch), *copies]))
        descriptors: Tensor = network(pixels, dtype)
        views = descriptors[: len(batch)]
        taught = 1 - (views * targets.to(views.device)).sum(dim=1).mean()
        return taught + self._copies.loss(views, descriptors[len(batch) :]) if copies else taught

    def validate(self, network: Network, dtype: torch.dtype) -> float:
        """Return the mAP of retrieving a held-out image with another, hard view of it."""
        views = self._held_out_views(self._recipe, lambda pixels: describe(network, pixels, dtype))
        return mean_average_precision(*views)

    def _held_out_views(self, recipe: Recipe, describe: Describe) -> tuple[Float32Array, list[str]]:
        """Return descriptors of hard views of the held-out images, and each view's image."""

        def make(item: tuple[Sample, int]) -> tuple[UInt8Array, str]:
            sample, view = item
            rng = random.Random(f"{self._seed} {sample.sha256} held out {view}")
            with opened(sample.path, self._limits, recipe.background) as image:
                seen = framed(image, HARD, rng)
            return lit(_drawn(seen, recipe), HARD, rng), sample.sha256

        items = [(s, view) for s in self._split.held_out for view in range(N_HELD_OUT_VIEWS)]
        descriptors, labels = [], []
        for made in feed(chunks(items, LOOK_BATCH), make):
            descriptors.append(describe([pixels for pixels, _ in made]))
            labels += [label for _, label in made]
        return np.concatenate(descriptors), labels

    def _known(self, batch: Sequence[int], view: int) -> bool:
        return self._teachers.know([(image, view) for image in batch])

    def _lesson(self, image: int, view: int, epoch: int, *, known: bool) -> Lesson:
        sample, where, recipe = self._split.train[image], (image, view), self._recipe
        frame = random.Random(f"{self._seed} {sample.sha256} frame {view}")
        with opened(sample.path, self._limits, recipe.background) as whole:
            seen = framed(whole, self._augmentation, frame)
            # The teachers' first look, before epoch 1, needs no copies.
            copy = self._copy(whole, sample, epoch) if self._copies.weight and epoch else None
        light = random.Random(f"{self._seed} {sample.sha256} light {epoch}")
        return Lesson(
            where,
            lit(_drawn(seen, recipe), self._augmentation, light),
            [] if known else [_drawn(seen, teacher.recipe) for teacher in self._teachers.each],
            copy,
        )

    def _copy(self, whole: Image.Image, sample: Sample, epoch: int) -> UInt8Array:
        rng, how = random.Random(f"{self._seed} {sample.sha256} copy {epoch}"), self._copies
        seen = framed(whole, how.augmentation, rng)
        return lit(_drawn(seen, self._recipe), how.augmentation, rng)

    def _targets(self, lessons: Sequence[Lesson]) -> Float32Array:
        return self._teachers.targets([lesson.where for lesson in lessons])

    def _see(self, lessons: Sequence[Lesson]) -> None:
        if not lessons[0].taught:
            return  # all of a batch are described, or none
        where = [lesson.where for lesson in lessons]
        of_each = zip(*(lesson.taught for lesson in lessons), strict=True)
        for teacher, pixels in zip(self._teachers.each, of_each, strict=True):
            teacher.see(pixels, where)


def _pixels(lessons: Sequence[Lesson]) -> UInt8Array:
    return np.stack([lesson.student for lesson in lessons])


def _drawn(image: Image.Image, recipe: Recipe) -> UInt8Array:
    return fitted(image, recipe.size, recipe.fit, recipe.canvas)
