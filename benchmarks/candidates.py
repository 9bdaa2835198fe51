"""What `benchmarks.choosing` tries with each network: how to look, how to pool, how to project."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spocdb.evaluation.methods import Method
from spocdb.features.declarations import Backbone
from spocdb.projections import DEFAULT_DIM, Regularisation

# The network's recipe as it is declared: what a user gets without options.
PLAIN = "plain"
SUM = {"pooling": "sum", "centering": False}
GEM = {"pooling": "gem", "centering": False}
POOLINGS: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {},
    "sum": SUM,
    "prior": {"pooling": "sum", "centering": True, "sigma": 1 / 3},
    "wide-prior": {"pooling": "sum", "sigma": 0.5},
    "max": {"pooling": "max"},
    "gem-2": GEM | {"gem_p": 2.0},
    "gem-3": GEM | {"gem_p": 3.0},
    "gem-2-prior": {"pooling": "gem", "gem_p": 2.0, "sigma": 0.5},
    "rmac": {"pooling": "rmac"},
    "crow": SUM | {"attention": "crow"},
}
# A 4:3 photograph then has as many pixels as one warped to a square.
SAME_PIXELS = (4 / 3) ** 0.5
# Inputs are enlarged up to this side.
LARGE, LARGEST = "large", 320


# Other views of the image than the declared one, and how much larger they are. Each takes the
# network's time once more, or several times, so that they and the poolings tried with them are few.
VIEWS: Mapping[str, tuple[Mapping[str, Any], float]] = {
    "aspect": ({"fit": "aspect"}, SAME_PIXELS),
    "flip": ({"flip": True}, 1.0),
    LARGE: ({}, 1.25),
}
WITH_VIEWS = (PLAIN, "gem-2-prior", "rmac")
# How whitening is shrunk; None: the raw descriptor, where it is as short as an embedding.
Shrinkage = Regularisation | None
SHRINKAGES: tuple[Regularisation, ...] = (0.0, 0.1, 0.3, 1.0, "auto")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe and a shrinkage of its embedding."""

    method: Method
    shrinkage: Shrinkage

    @property
    def name(self) -> str:
        """Return the name of the recipe and, unless it is the usual one, of the embedding."""
        ends = {None: "-raw", 0.0: "-whitened", "auto": "-likeliest"}
        return self.method.name + ends.get(self.shrinkage, f"-shrunk-{self.shrinkage}")


def methods(backbone: Backbone, views: Iterable[str] = VIEWS) -> Iterator[Method]:
    """Yield the recipes to try with a network, the plain one first."""
    for name, recipe in POOLINGS.items():
        yield Method(name, "", recipe)
    for name in views:
        options, enlarge = VIEWS[name]
        if name != LARGE or enlarge * backbone.size <= LARGEST:
            for pooling in WITH_VIEWS:
                yield Method(f"{pooling}-{name}", "", {**POOLINGS[pooling], **options}, enlarge)


def shrinkages(channels: int) -> Sequence[Shrinkage]:
    """Return how to make embeddings of raw descriptors (C,), the product's default first.

    A collection whose raw descriptors are as short as its embeddings begins with the raw ones.
    """
    return SHRINKAGES if channels > DEFAULT_DIM else (None, *SHRINKAGES)
