"""The benchmarks' figures by arrays are those of an evaluation by ingest and SQL."""

from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from benchmarks import ranked
from benchmarks.labelled import Labelled, by_group
from spocdb.api import Database
from spocdb.evaluation.evaluate import evaluate
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.features.projection import Moments, fit

METHODS = (
    Method("sum", "", {"pooling": "sum"}),
    Method("max", "", {"pooling": "max"}),
    Method("flip", "", {"flip": True}),
)


@pytest.mark.slow
def test_they_are_the_same(
    db: Database, make_photos: Any, options: dict[str, Any], said: list[str]
) -> None:
    *train, a, b = sorted(make_photos(40).iterdir())
    gallery, train = {file.stem: file for file in [*train[:16], a, b]}, train[16:]
    groups = {name: str(number % 4) for number, name in enumerate(gallery)}
    # A copy of a query or of a right answer is ignored in both, and so is an image that is gone.
    b.write_bytes(a.read_bytes())
    groups["gone"] = "0"
    given = Options(train, **{**options, "recipe": {}, "dims": (8,)})
    recipes = [replace(method, recipe={**method.recipe, "size": 64}) for method in METHODS]
    benchmark = by_group("photographs", gallery, groups)
    found = {}
    sets = ranked.read_sets([Labelled(benchmark, {})], train)
    for method, raw in ranked.describe(db, recipes, sets, given):
        for shrinkage, projection in ranked.projections(sets.trained_on(raw), [None, 0.0, 1.0], 8):
            values = ranked.average_precisions(sets.labelled[0], sets, raw, projection)
            found[method.name, shrinkage] = fmean(values.values())
    assert sum("through the network" in line for line in said) == 2

    shrunk = [replace(method, regularisation=1.0) for method in recipes]
    for shrinkage, methods in ((0.0, recipes), (1.0, shrunk)):
        for result in evaluate(db, benchmark, methods, given):
            if result.embedding == "raw":
                assert result.exact == pytest.approx(found[result.method, None])
            elif (result.embedding, result.fitted_on) == ("whitened", "train"):
                assert result.exact == pytest.approx(found[result.method, shrinkage])
    assert len({*found.values()}) == len(found)


@pytest.mark.parametrize("regularisation", [0.0, 0.1, 1.0])
def test_a_shrunk_projection_is_the_fitted_one(regularisation: float) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    moments = Moments.of(rows)
    expected = fit(moments, 5, regularisation=regularisation)
    made = ranked.shrunk(fit(moments, 5), moments, regularisation)
    np.testing.assert_allclose(made.scale, expected.scale)
    np.testing.assert_array_equal(made.components, expected.components)
