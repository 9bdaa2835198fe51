"""The teachers of a distillation. Their descriptors of views are computed once, kept in files."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.extractor import Extractor
from spocdb.features.projection import Moments, fit, project
from spocdb.recipe_options import Background
from spocdb.records import Float32Array, Projection, UInt8Array
from spocdb.wording import counted

log = logging.getLogger(__name__)

# More images do not improve a teacher's PCA.
MOST_FOR_PCA = 10_000
# This fraction of the mean variance is added to each variance: the weakest directions are noise.
REGULARISATION = 0.1

# Index of an image, and of its view.
Where = tuple[int, int]


class Teacher:
    """An extractor, and its raw descriptors (n, V, C) of V views of n images.

    The descriptors are in a memory-mapped file, which survives an interruption and may exceed
    memory. Descriptors that are not computed yet are NaN.
    """

    def __init__(self, extractor: Extractor, file: Path, n_images: int, n_views: int) -> None:
        self.extractor, self.recipe = extractor, extractor.recipe
        self._raw = _open(file, (n_images, n_views, extractor.dim))

    def knows(self, where: Sequence[Where]) -> bool:
        """Return whether the descriptors of all these views are stored, each whole."""
        return bool(self._stored(where).all())

    def see(self, pixels: Sequence[UInt8Array], where: Sequence[Where]) -> None:
        """Compute the descriptors of views, and store those that are not stored yet."""
        missing = ~self._stored(where)
        images, views = (np.asarray(indices)[missing] for indices in _indices(where))
        self._raw[images, views] = self.extractor.extract(pixels)[missing]

    def raw(self, where: Sequence[Where]) -> Float32Array:
        """Return the stored raw descriptors (n, C) of views."""
        return np.asarray(self._raw[_indices(where)], np.float32)

    def _stored(self, where: Sequence[Where]) -> NDArray[np.bool_]:
        # Of a descriptor that a killed process was storing, a part may be there.
        stored: NDArray[np.bool_] = np.isfinite(self._raw[_indices(where)]).all(axis=1)
        return stored


class Teachers:
    """One or more teachers, and the projections from their raw descriptors to a student's target.

    Each teacher's descriptor is whitened. Their concatenation is whitened again to the student's
    dimension, in which directions common to the teachers come first.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.each = teachers
        self._own: list[Projection] = []
        self._common: Projection | None = None

    def check(self, n_images: int, dim: int, background: Background) -> None:
        """Refuse teachers that cannot teach a student of `dim` dimensions on `n_images`.

        Raises:
            ConfigError: The teachers have too few dimensions, or another background than the
                student, with whom they share the decoded image.
            NotEnoughSamples: There are too few images for the PCA of the descriptors.
        """
        for teacher in self.each:
            if teacher.recipe.background != background:
                raise ConfigError(
                    f"{teacher.recipe.name} sees transparent images on {teacher.recipe.background}"
                    f", the student on {background}: take another teacher"
                )
        if dim > sum(teacher.extractor.dim for teacher in self.each):
            raise ConfigError(
                f"the student has {dim} dimensions, more than its teachers: take a larger one"
            )
        if n_images <= dim:
            raise NotEnoughSamples(
                f"{counted(n_images, 'image')} to train on, too few for a student of "
                f"{dim} dimensions: give more, {dim + 1} are the least",
                bound=f"at least {dim + 1}",
            )

    def know(self, where: Sequence[Where]) -> bool:
        """Return whether all teachers have stored the descriptors of a batch.

        A process that is killed while it stores a batch leaves a part of it. The batch is then
        described again as a whole, because a network rounds differently in batches of other sizes.
        """
        return all(teacher.knows(where) for teacher in self.each)

    def fit(self, where: Sequence[Where], dim: int) -> None:
        """Fit the projections to `dim` on stored views.

        Raises:
            NotEnoughSamples: The descriptors span less than `dim` dimensions.
        """
        raw = [teacher.raw(where) for teacher in self.each]
        self._own = [
            _whitening(r, min(dim, t.extractor.dim)) for r, t in zip(raw, self.each, strict=True)
        ]
        self._common = _whitening(self._joined(raw), dim)
        log.info("targets: %s dimensions, whitened on %s images", dim, len(where))

    def targets(self, where: Sequence[Where]) -> Float32Array:
        """Return the targets (n, dim) of stored views."""
        return self.target([teacher.raw(where) for teacher in self.each])

    def target(self, raw: Sequence[Float32Array]) -> Float32Array:
        """Project each teacher's raw descriptors (n, C) to targets (n, dim)."""
        assert self._common is not None
        return project(self._joined(raw), self._common)

    def _joined(self, raw: Sequence[Float32Array]) -> Float32Array:
        whitened = [project(r, own) for r, own in zip(raw, self._own, strict=True)]
        return np.concatenate(whitened, axis=1)


def _whitening(descriptors: Float32Array, dim: int) -> Projection:
    return fit(Moments.of(descriptors), dim, regularisation=REGULARISATION)


def _indices(where: Sequence[Where]) -> tuple[list[int], list[int]]:
    images, views = zip(*where, strict=True)
    return list(images), list(views)


def _open(file: Path, shape: tuple[int, int, int]) -> Any:
    """Open a file of descriptors; create it under a temporary name, then rename it."""
    open_file = np.lib.format.open_memmap
    try:
        if not os.path.exists(file):
            fresh = file.with_name(f"{file.name}.new")
            made = open_file(fresh, "w+", np.float16, shape)
            made[:] = np.nan
            made.flush()
            fresh.replace(file)
        return open_file(file, "r+")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot keep the teacher's descriptors in {file}: {error}") from error
