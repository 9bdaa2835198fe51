"""The best known recipe of each network: the method `best` of an evaluation.

`python -m benchmarks.choosing` chose them, by their gain over the plain recipe in folds of three
labelled sets; docs/explanation/quality.md tells how, and a test compares them with the records. A
network is missing if nothing gained more than the spread of its gains, or if nothing was measured:
its best known recipe is the plain one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spocdb.evaluation.methods import BEST, Method


@dataclass(frozen=True, slots=True)
class Known:
    """A best recipe, its mean gain in mAP over the plain one, and the gain's standard deviation."""

    method: Method
    gain: float
    spread: float


RMAC = Method("best", "R-MAC, whitening shrunk by 1", {"pooling": "rmac"}, regularisation=1.0)
GEM = Method(
    "best",
    "GeM with p = 2, sigma 1/2, whitening shrunk by 0.3",
    {"pooling": "gem", "gem_p": 2.0, "sigma": 0.5},
    regularisation=0.3,
)
GEM_LIKELIEST = Method(
    "best",
    "GeM with p = 2, sigma 1/2, whitening shrunk by likelihood",
    {"pooling": "gem", "gem_p": 2.0, "sigma": 0.5},
    regularisation="auto",
)

RECIPES: Mapping[str, Known] = {
    "efficientnet_lite0": Known(RMAC, 0.029, 0.025),
    "efficientnet_lite1": Known(RMAC, 0.033, 0.026),
    "efficientnet_lite2": Known(RMAC, 0.028, 0.020),
    "mobilenet_v1": Known(GEM_LIKELIEST, 0.049, 0.034),
    "squeezenet1_1": Known(GEM, 0.066, 0.058),
}


def best_of(backbone: str) -> Method:
    """Return the method `best` of a network."""
    known = RECIPES.get(backbone)
    return known.method if known else BEST
