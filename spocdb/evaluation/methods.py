"""The methods to compare: those of the SPoC paper's table, and later ones.

A method consists of options for the recipe, the fit of the projection and the search, all of which
are available to users. They override the options of an evaluation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spocdb.errors import ConfigError
from spocdb.features.codebooks import Kind
from spocdb.projections import Regularisation
from spocdb.records import Refinement


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Database-side augmentation: every embedding plus its nearest neighbours."""

    neighbours: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a comparison. `enlarge` multiplies the input size; `codebook` is (kind, k)."""

    name: str
    what: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    enlarge: float = 1.0
    codebook: tuple[Kind, int] | None = None
    regularisation: Regularisation = 0.0
    augmentation: Augmentation | None = None
    refinement: Refinement = field(default_factory=Refinement)


SPOC = {"pooling": "sum", "centering": True}

PLAIN = Method("recipe", "the recipe as the options say, SPoC by default")

# The plain recipe; an evaluation replaces it by what is known of its network, see best.py.
BEST = Method("best", "the network's best known recipe")

PAPER = (
    Method("spoc", "sum pooling with the centering prior", SPOC),
    Method("spoc-no-prior", "sum pooling", {"pooling": "sum", "centering": False}),
    Method("max", "max pooling", {"pooling": "max"}),
    Method("fisher-16", "Fisher vectors, 16 Gaussians", codebook=("fisher", 16)),
    Method("fisher-256", "Fisher vectors, 256 Gaussians", codebook=("fisher", 256)),
    Method("triangulation-1", "triangulation, 1 centroid", codebook=("triangulation", 1)),
    Method("triangulation-16", "triangulation, 16 centroids", codebook=("triangulation", 16)),
)

BEYOND = (
    Method("gem", "generalised mean, p = 3, prior", {"pooling": "gem", "gem_p": 3.0}),
    Method("rmac", "maxima of regions, summed", {"pooling": "rmac"}),
    Method(
        "norm", "weights: the feature's length", SPOC | {"centering": False, "attention": "norm"}
    ),
    Method("crow", "weights: cross-dimensional", SPOC | {"centering": False, "attention": "crow"}),
    Method("flip", "spoc, and its mirror image", SPOC | {"flip": True}),
    Method("multiscale", "spoc at 1, 0.71 and 0.5", SPOC | {"scales": (1.0, 0.71, 0.5)}),
    Method("shrinkage", "spoc, whitening shrunk by 0.1", SPOC, regularisation=0.1),
    Method("likeliest", "spoc, shrunk by held-out likelihood", SPOC, regularisation="auto"),
    BEST,
    Method("aqe", "spoc, query expansion by 3", SPOC, refinement=Refinement(3, alpha=0)),
    Method("alpha-qe", "spoc, alpha query expansion by 5", SPOC, refinement=Refinement(5, alpha=3)),
    Method("augmented", "spoc, database-side, by 5", SPOC, augmentation=Augmentation(5, 3.0)),
    Method(
        "rerank", "spoc, k-reciprocal re-ranking of 100", SPOC, refinement=Refinement(rerank=100)
    ),
)

GROUPS = {"all": PAPER, "beyond": BEYOND}
METHODS = {method.name: method for method in (PLAIN, *PAPER, *BEYOND)}


def find_methods(names: Iterable[str]) -> list[Method]:
    """Return the methods with these names or in the groups all and beyond, without repetition.

    Raises:
        ConfigError: A name is unknown; the message lists all names.
    """
    found: dict[str, Method] = {}
    for name in names:
        if name not in METHODS and name not in GROUPS:
            raise ConfigError(
                f"unknown method {name!r}: all (the paper's), beyond, {', '.join(METHODS)}",
                field="method",
                bound=(*GROUPS, *METHODS),
            )
        found |= {m.name: m for m in GROUPS.get(name, (METHODS.get(name, PLAIN),))}
    return list(found.values())
