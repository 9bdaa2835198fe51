"""The copy-detection term of a distillation: copies of an image are near, other images are far.

The loss is SSCD's (Pizzi et al., "A self-supervised descriptor for image copy detection", CVPR
2022): InfoNCE over two views of each image of a batch, and the differential entropy of Sablayrolles
et al. ("Spreading vectors for similarity search", ICLR 2019), which pushes each descriptor away
from the nearest one of another image. A random batch rarely holds images that are hard to tell
apart. So images stand in a batch beside their nearest ones by the teachers' targets.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spocdb.errors import InvalidValue
from spocdb.records import Float32Array
from spocdb.training.views import STRONG, Augmentation

# Nearest images beside each image in a batch, and how many are known, as some are taken already.
N_BESIDE, N_KNOWN = 3, 16
# Images whose nearest ones are found at once.
BLOCK = 1024
# Least squared distance in the logarithm: two images may be the same but for a few bytes.
LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Copies:
    """The term's weight, 0 without it, and its parts.

    `entropy` is the weight of the entropy relative to InfoNCE's; `augmentation` makes the copies.
    """

    weight: float = 0.0
    temperature: float = 0.05
    entropy: float = 1.0
    augmentation: Augmentation = STRONG

    def check(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: A number is out of range.
        """
        for name, value in (("copies", self.weight), ("entropy", self.entropy)):
            if not 0 <= value < math.inf:
                raise InvalidValue(name, f"{value:g}", "0 or more")
        if not 0 < self.temperature < math.inf:
            raise InvalidValue("temperature", f"{self.temperature:g}", "positive")

    def loss(self, views: Tensor, copies: Tensor) -> Tensor:
        """Return the weighted term for descriptors (n, C) of n images and of their copies (n, C).

        Descriptors have length one.
        """
        n = len(views)
        both = torch.cat([views, copies])
        similarity = both @ both.T
        itself = torch.eye(2 * n, dtype=torch.bool, device=both.device)
        partner = torch.arange(2 * n, device=both.device).roll(n)
        logits = (similarity / self.temperature).masked_fill(itself, -math.inf)
        contrast = functional.cross_entropy(logits, partner)
        nearest = similarity.masked_fill(itself | itself.roll(n, 0), -1.0).amax(dim=1)
        # Half the logarithm of the squared distance is that of the distance.
        entropy = (2 - 2 * nearest).clamp_min(LEAST).log().mean() / 2
        return self.weight * (contrast - self.entropy * entropy)


def nearest_of_each(descriptors: Float32Array) -> NDArray[np.int64]:
    """Return for each of n descriptors (n, C) its nearest others (n, k), nearest first."""
    k = min(N_KNOWN, len(descriptors) - 1)
    found = []
    for start in range(0, len(descriptors), BLOCK):
        distances = -(descriptors[start : start + BLOCK] @ descriptors.T)
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        nearest = np.argpartition(distances, k - 1, axis=1)[:, :k] if k else rows[:, None][:, :0]
        order = np.lexsort((nearest, np.take_along_axis(distances, nearest, axis=1)))
        found.append(np.take_along_axis(nearest, order, axis=1))
    return np.concatenate(found)


def side_by_side(order: Sequence[int], nearest: NDArray[np.int64]) -> Iterator[int]:
    """Yield all images of an order, each followed by its nearest ones that did not come before.

    Images from `len(nearest)` on have no known neighbours, and stay alone.
    """
    left = dict.fromkeys(order)
    for image in order:
        if image in left:
            known = nearest[image].tolist() if image < len(nearest) else []
            group = [image, *[other for other in known if other in left][:N_BESIDE]]
            for each in group:
                del left[each]
            yield from group
