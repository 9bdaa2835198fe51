"""The teachers of a distillation: their descriptors of views, computed once and kept in files."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.extractor import Extractor
from spocdb.features.projection import Moments, fit, project
from spocdb.recipe_options import Background
from spocdb.records import Float32Array, Projection, UInt8Array
from spocdb.wording import counted

log = logging.getLogger(__name__)

# More images do not make a teacher's PCA better.
MOST_FOR_PCA = 10_000
# The weakest directions of a teacher are noise: this part of the mean variance is added to each.
REGULARISATION = 0.1

# Which image, and which of its views.
Where = tuple[int, int]


class Teacher:
    """An extractor, and its raw descriptors (n, V, C) of V views of n images.

    They lie in a file, so that neither memory nor an interruption limits how many there are; one
    that is not there yet is not a number.
    """

    def __init__(self, extractor: Extractor, file: Path, n_images: int, n_views: int) -> None:
        self.extractor, self.recipe = extractor, extractor.recipe
        self._raw = _open(file, (n_images, n_views, extractor.dim))

    def knows(self, where: Where) -> bool:
        """Tell whether a view was seen before."""
        return bool(np.isfinite(self._raw[*where, 0]))

    def see(self, pixels: Sequence[UInt8Array], where: Sequence[Where]) -> None:
        """Compute and keep the descriptors of views."""
        if where:
            self._raw[_indices(where)] = self.extractor.extract(pixels)

    def raw(self, where: Sequence[Where]) -> Float32Array:
        """Return the raw descriptors (n, C) of views that were seen."""
        return np.asarray(self._raw[_indices(where)], np.float32)


class Teachers:
    """One or more teachers, and the projections from their raw descriptors to a student's target.

    Each one's descriptor is whitened, they are put behind each other and whitened once more to the
    student's dimension: what they agree on comes first.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.each = teachers
        self._own: list[Projection] = []
        self._common: Projection | None = None

    def check(self, n_images: int, dim: int, background: Background) -> None:
        """Refuse teachers that cannot teach a student of `dim` dimensions on so many images.

        Raises:
            ConfigError: They have too few dimensions, or another background than the student,
                although all of them see the same decoded image.
            NotEnoughSamples: There are too few images for the PCA of their descriptors.
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

    def know(self, where: Where) -> bool:
        """Tell whether all of them saw a view before."""
        return all(teacher.knows(where) for teacher in self.each)

    def fit(self, where: Sequence[Where], dim: int) -> None:
        """Fit the projections to `dim` on views that were seen. Raises NotEnoughSamples."""
        raw = [teacher.raw(where) for teacher in self.each]
        self._own = [
            _whitening(r, min(dim, t.extractor.dim)) for r, t in zip(raw, self.each, strict=True)
        ]
        self._common = _whitening(self._joined(raw), dim)
        log.info("targets: %s dimensions, whitened on %s images", dim, len(where))

    def targets(self, where: Sequence[Where]) -> Float32Array:
        """Return the targets (n, dim) of views that were seen."""
        return self.target([teacher.raw(where) for teacher in self.each])

    def target(self, raw: Sequence[Float32Array]) -> Float32Array:
        """Turn each teacher's raw descriptors (n, C) into targets (n, dim)."""
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
    """Open a file of descriptors; made anew it appears under its name once it is whole."""
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
