"""Average precisions of labelled sets, by arrays.

    files -> raw descriptors, stored once -> projections of the training images -> rankings

`spocdb eval` ingests and indexes each embedding that it measures; a choice compares hundreds. Here
the network, the projection and the measure are the same, and the ranking is a matrix product.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.candidates import Shrinkage
from benchmarks.labelled import Labelled
from spocdb.api import Database
from spocdb.db.descriptors import all_of
from spocdb.evaluation import together
from spocdb.evaluation.benchmark import restricted
from spocdb.evaluation.copies import without_copies
from spocdb.evaluation.measures import average_precision
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.plans import plan
from spocdb.features import shrinkage
from spocdb.features.projection import Moments, fit, project, raw_projection
from spocdb.features.recipes import channels
from spocdb.projections import DEFAULT_DIM
from spocdb.records import Float32Array, Projection, Recipe

# The average precision of each query.
Values = Mapping[str, float]
# The name of a set and the number of a fold, and the mean average precision of its queries.
Cell = tuple[str, int]
Folds = Mapping[Cell, float]
Raw = Mapping[bytes, Float32Array]


@dataclass(frozen=True, slots=True)
class Sets:
    """Labelled sets, the contents of their images and of those that PCA is fitted on (sha256)."""

    labelled: Sequence[Labelled]
    contents: Mapping[Path, bytes]
    train: Sequence[bytes]

    def trained_on(self, raw: "Raw") -> Float32Array:
        """Return the raw descriptors (n, C) of the images that PCA is fitted on."""
        return np.stack([raw[content] for content in self.train])


def read_sets(labelled: Sequence[Labelled], train: Iterable[Path]) -> Sets:
    """Hash all files; leave out missing images and byte-identical copies as an evaluation does."""
    others = [*train]
    files = [*others, *(file for each in labelled for file in each.benchmark.images.values())]
    contents = {file: hashlib.sha256(file.read_bytes()).digest() for file in files}
    apart = []
    for each in labelled:
        named = {name: contents[file] for name, file in each.benchmark.images.items()}
        there = restricted(each.benchmark, named)
        apart.append(replace(each, benchmark=without_copies(there, named)))
    # A fit takes distinct images in the order of their hashes.
    return Sets(apart, contents, sorted({contents[file] for file in others}))


def describe(
    db: Database, methods: Iterable[Method], sets: Sets, options: Options
) -> Iterator[tuple[Method, Raw]]:
    """Yield methods of different recipes, with the raw descriptors (C,) of all images by sha256.

    The network runs once for recipes that differ only in pooling, and not for stored descriptors.

    Raises:
        ConfigError: An option is invalid, or a weights file is missing or broken.
    """
    first: dict[Recipe, Method] = {}
    plans = [plan(db, sets.labelled[0].benchmark, method, options) for method in methods]
    for planned in plans:
        first.setdefault(planned.chosen.recipe, planned.method)
    for group in together.groups(planned.chosen for planned in plans):
        ids = together.describe(db, group, [*sets.contents], options)
        for recipe, number in ids.items():
            with db.engine.connection() as connection:
                raw = dict(all_of(connection, number, channels(recipe)))
            yield first[recipe], raw


def projections(
    train: Float32Array, shrinkages: Iterable[Shrinkage], dim: int = DEFAULT_DIM
) -> Iterator[tuple[Shrinkage, Projection]]:
    """Yield the projections of training images (n, C) by each shrinkage, to `dim` or fewer."""
    moments = Moments.of(train)
    fitted = fit(moments, min(dim, train.shape[1]))
    folds = [Moments.of(train[fold :: shrinkage.N_FOLDS]) for fold in range(shrinkage.N_FOLDS)]
    for each in shrinkages:
        if each is None:
            yield each, raw_projection(train.shape[1])
        else:
            yield each, shrunk(fitted, moments, shrinkage.chosen(folds) if each == "auto" else each)


def shrunk(fitted: Projection, moments: Moments, regularisation: float) -> Projection:
    """Return what `fit` gives with another regularisation, without its eigenvectors again."""
    added = regularisation * np.trace(moments.scatter) / len(moments.mean)
    scale = np.sqrt((moments.count - 1) / (fitted.singular_values**2 + added))
    return replace(fitted, scale=scale)


def average_precisions(labelled: Labelled, sets: Sets, raw: Raw, projection: Projection) -> Values:
    """Return the average precision of a set's queries, all images compared."""
    images = labelled.benchmark.images
    at = {name: index for index, name in enumerate(images)}
    embeddings = project(np.stack([raw[sets.contents[f]] for f in images.values()]), projection)
    values = {}
    for query in labelled.benchmark.variants[""]:
        order = np.argsort(-(embeddings @ embeddings[at[query.name]]), kind="stable")
        ignored, relevant = np.zeros((2, len(at)), bool)
        ignored[[at[name] for name in query.ignored]] = True
        relevant[[at[name] for name in query.relevant]] = True
        ranks = np.flatnonzero(relevant[order[~ignored[order]]])
        values[query.name] = average_precision(ranks.tolist(), len(query.relevant))
    return values


def by_fold(sets: Sets, raw: Raw, projection: Projection) -> Folds:
    """Return the mean average precision in each fold of each set."""
    held: dict[Cell, list[float]] = defaultdict(list)
    for each in sets.labelled:
        for query, value in average_precisions(each, sets, raw, projection).items():
            held[each.benchmark.name, each.fold(query)].append(value)
    return {cell: fmean(values) for cell, values in held.items()}
