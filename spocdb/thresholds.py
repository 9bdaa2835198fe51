"""Thresholds of near-duplicates: how near copies are, how near other pictures, and what follows.

A copy of a picture is compared with a collection. *Recall* is the part of the copies that find
their picture. *Precision* is the part of what copies find that is their picture, if of each picture
there are as many copies as are supposed. Both depend on the distance up to which something counts
as found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from spocdb.records import Float64Array, Level

# Points of a curve.
POINTS = 100
# How many times more pictures than it takes if all copies were found.
SPARE = 1.5


@dataclass(frozen=True, slots=True)
class Found:
    """Distances of pairs, whether their signatures differ in few bits, and whose pairs they are.

    `distances` (n,); `bits` (n,) is by how many bits the signatures differ, more than 64 if one is
    unknown; `variants` (n,) is the number of the variant that a pair is of.
    """

    distances: Float64Array
    bits: NDArray[np.int64]
    variants: NDArray[np.int64]

    def of(self, variants: Sequence[int]) -> "Found":
        """Return the pairs of some variants."""
        those = np.isin(self.variants, variants)
        return Found(self.distances[those], self.bits[those], self.variants[those])

    def within(self, rule: "Rule") -> NDArray[np.bool_]:
        """Return which pairs (n,) a rule takes for the same picture."""
        agree = self.bits <= (-1 if rule.bits is None else rule.bits)
        return (self.distances <= rule.picture) | ((self.distances <= rule.scene) & agree)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the same picture is: up to `picture`, or up to `scene` with signatures that agree.

    Signatures agree if they differ in at most `bits` bits; None: they never count.
    """

    picture: float
    scene: float
    bits: int | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Precision and recall up to a distance; `scene_recall` is that of copies of all kinds."""

    distance: float
    precision: float
    recall: float
    scene_recall: float


@dataclass(frozen=True, slots=True)
class VariantRecall:
    """A kind of copies: how many are found as the same picture, by the distance alone and in all.

    `scene` is how many are found up to the distance of the same scene.
    """

    name: str
    level: Level
    alone: float
    recall: float
    scene: float


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two images of a collection that are near each other and may be copies.

    `agree` says whether their signatures do: such a pair is taken for copies.
    """

    id: int
    path: str
    other_id: int
    other_path: str
    distance: float
    agree: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration measured.

    Up to `picture` two images show the same picture, up to `scene` they may show the same scene, or
    the same picture if their signatures differ in at most `bits` bits. `picture` is None, and
    nothing is stored, if no distance has the wanted precision. `found_precision` and `recall` are
    those of the whole rule for the same picture. `n_taken` pairs of contents were taken for copies.
    """

    collection: str
    projection: int
    n_images: int
    precision: float
    copies: float
    seed: int
    n_taken: int
    curve: list[CurvePoint]
    nearest: list[NearPair]
    picture: float | None = None
    scene: float | None = None
    bits: int | None = None
    found_precision: float | None = None
    recall: float | None = None
    variants: list[VariantRecall] = field(default_factory=list)


def fewest_pictures(precision: float, copies: float) -> int:
    """Return how many pictures a precision takes: one more with a wrong neighbour must not matter.

    `copies` is how many copies of each picture are supposed.
    """
    return ceil(SPARE / (copies * (1 / precision - 1)))


def precision(own: int, others: float, copies: float) -> float:
    """Return the part of what is found that is right; 1 if nothing is found."""
    right = copies * own
    return float(right / (right + others)) if right + others else 1.0


def threshold(
    own: Float64Array, others: Float64Array, wanted: float, copies: float, margin: float
) -> float | None:
    """Return the largest distance of a copy with a precision; None if there is none.

    `own` are distances of copies from their pictures, `others` those from other pictures. `margin`
    is added to the number of others. Without it the largest distance that happened to be good would
    be chosen, which is too large for the next pictures.
    """
    near = np.sort(own)
    n_right = copies * np.arange(1, len(near) + 1)
    n_wrong = np.searchsorted(np.sort(others), near, side="right") + margin
    good = np.flatnonzero(n_right / (n_right + n_wrong) >= wanted)
    return float(near[good[-1]]) if len(good) else None


def agreeing_bits(
    own: Found, others: Found, picture: float, scene: float, wanted: float, copies: float, most: int
) -> int | None:
    """Return how many bits may differ so that the whole rule has a precision, at most `most`."""
    for bits in range(most, -1, -1):
        rule = Rule(picture, scene, bits)
        n_right, n_wrong = int(own.within(rule).sum()), int(others.within(rule).sum())
        if precision(n_right, n_wrong, copies) >= wanted:
            return bits
    return None


def curve(
    own: Found, others: Found, pictures: Sequence[int], limit: float, copies: float
) -> list[CurvePoint]:
    """Return precision and recall up to POINTS distances, of which `limit` is the last.

    `pictures` are the variants that show the same picture.
    """
    of_picture, wrong = own.of(pictures).distances, others.of(pictures).distances
    points = []
    for distance in np.linspace(0, limit, POINTS + 1)[1:]:
        n_right, n_wrong = int((of_picture <= distance).sum()), int((wrong <= distance).sum())
        points.append(
            CurvePoint(
                float(distance),
                precision(n_right, n_wrong, copies),
                n_right / len(of_picture),
                float((own.distances <= distance).mean()),
            )
        )
    return points
