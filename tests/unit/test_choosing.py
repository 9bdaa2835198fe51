"""How a recipe is chosen: by its gain in many folds of several sets, not by one set's maximum."""

from pathlib import Path

import pytest

from benchmarks.candidates import LARGE, PLAIN, methods, shrinkages
from benchmarks.choosing import choice, chosen, score, validated
from benchmarks.labelled import KEPT, N_FOLDS, Labelled
from benchmarks.ranked import Folds
from spocdb.evaluation.benchmark import Benchmark, Query
from spocdb.features.backbones import find

SETS = ("a", "b", "c")
# Each method's gain in each set.
GAINS = {
    PLAIN: (0.0, 0.0, 0.0),
    "max": (0.4, -0.1, 0.0),
    "gem": (0.05, 0.04, 0.03),
    "low": (0.02,) * 3,
}
CELLS = [(name, fold) for name in SETS for fold in range(N_FOLDS) if fold != KEPT]


def folds() -> dict[str, Folds]:
    """Return made-up figures: every method but the plain one loses all in the kept folds."""
    return {
        method: {
            (name, fold): 0.5 + (-0.5 if fold == KEPT and method != PLAIN else gain)
            for name, gain in zip(SETS, gains, strict=True)
            for fold in range(N_FOLDS)
        }
        for method, gains in GAINS.items()
    }


def test_the_best_one_must_gain_more_than_its_spread() -> None:
    scored = score(folds(), PLAIN, CELLS)
    # "max" has the highest mean and the highest single set; it loses on another one.
    assert max(scored, key=lambda each: each.gain).name == "max"
    found = chosen(scored, PLAIN)
    assert (found.name, round(found.gain, 9)) == ("gem", 0.04)
    assert 0 < found.spread < 0.01


def test_without_a_gain_beyond_the_spread_the_plain_recipe_is_best() -> None:
    few = {name: values for name, values in folds().items() if name in (PLAIN, "max")}
    assert chosen(score(few, PLAIN, CELLS), PLAIN).name == PLAIN
    told = choice(few, PLAIN)
    assert (told["chosen"], told["gain"]) == (PLAIN, 0.0)


def test_the_kept_folds_do_not_choose_and_are_told_of_the_chosen_one_alone() -> None:
    told = choice(folds(), PLAIN)
    assert told["chosen"] == "gem"
    assert told["kept"] == {PLAIN: dict.fromkeys(SETS, 0.5), "gem": dict.fromkeys(SETS, 0.0)}
    assert told["candidates"]["gem"] == pytest.approx(
        {"gain": 0.04, "spread": told["spread"], "a": 0.55, "b": 0.54, "c": 0.53}
    )
    assert [*told["candidates"]] == ["max", "gem", "low", PLAIN]


def test_a_choice_is_validated_where_it_was_not_made() -> None:
    gains = validated(folds(), PLAIN, CELLS)
    # Whichever set is left out, "gem" is chosen in the two others.
    by_set = {
        name: [g for g, cell in zip(gains, CELLS, strict=True) if cell[0] == name] for name in SETS
    }
    assert {name: pytest.approx(values) for name, values in by_set.items()} == {
        "a": [0.05] * 4,
        "b": [0.04] * 4,
        "c": [0.03] * 4,
    }
    # What gains in all other sets is chosen without this one, where it gains nothing.
    others = folds() | {"rest": {cell: 0.5 + 0.2 * (cell[0] != "a") for cell in folds()[PLAIN]}}
    assert validated(others, PLAIN, CELLS)[0] == 0.0


def test_a_group_is_in_one_fold() -> None:
    names = [f"{group}-{number}" for group in range(60) for number in range(3)]
    groups = {name: name.partition("-")[0] for name in names}
    queries = [Query(name, frozenset()) for name in names]
    made = Labelled(Benchmark("a", {n: Path(n) for n in names}, {"": queries}, ("mAP",)), groups)
    by_group = {(groups[name], made.fold(name)) for name in names}
    assert len(by_group) == 60
    assert {fold for _, fold in by_group} == set(range(N_FOLDS))


def test_the_plain_recipe_is_the_declared_one_and_comes_first() -> None:
    small, large = ([*methods(find(name))] for name in ("mini", "vgg19"))
    assert (small[0].name, small[0].recipe) == (PLAIN, {})
    assert len({method.name for method in small}) == len(small)
    # An input of 586 pixels is not enlarged.
    names = {method.name.rpartition("-")[2] for method in small}
    assert names - {method.name.rpartition("-")[2] for method in large} == {LARGE}
    # Raw descriptors of 256 values are embeddings already.
    assert (shrinkages(256)[0], shrinkages(512)[0]) == (None, 0.0)
