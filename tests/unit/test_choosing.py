"""How a recipe is chosen: by its gain in many folds, not by one set's maximum."""

from pathlib import Path

from benchmarks.choosing import by_fold, chosen, kept_folds, score
from benchmarks.labelled import KEPT, N_FOLDS, Labelled
from spocdb.evaluation.benchmark import Benchmark, Query

GAINS = {"plain": (0.0, 0.0), "max": (0.3, -0.1), "gem-2": (0.05, 0.04), "gem-3": (0.02, 0.02)}


def folds() -> dict[str, dict[tuple[str, int], float]]:
    """Return made-up figures: each method gains in two sets, and loses all in the kept folds."""
    return {
        method: {
            (name, fold): 0.5 + (-0.5 if fold == KEPT and method != "plain" else gain)
            for name, gain in zip(("a", "b"), gains, strict=True)
            for fold in range(N_FOLDS)
        }
        for method, gains in GAINS.items()
    }


def test_the_best_one_must_gain_more_than_its_spread() -> None:
    scored = score(folds())
    assert [each.method for each in scored] == ["plain", "max", "gem-2", "gem-3"]
    # "max" has the highest mean and the highest single set; it loses on the other one.
    assert max(scored, key=lambda each: each.gain).method == "max"
    assert chosen(scored).method == "gem-2"


def test_without_a_gain_beyond_the_spread_the_plain_recipe_is_best() -> None:
    scored = score({name: values for name, values in folds().items() if name in ("plain", "max")})
    assert chosen(scored).method == "plain"


def test_the_kept_folds_do_not_choose() -> None:
    scored = score(folds())
    assert all(each.by_set[name] > 0.3 for each in scored for name in ("a", "b"))
    assert kept_folds(folds()["gem-2"]) == {"a": 0.0, "b": 0.0}


def test_a_group_is_in_one_fold() -> None:
    names = [f"{group}-{number}" for group in range(60) for number in range(3)]
    groups = {name: name.partition("-")[0] for name in names}
    queries = [Query(name, frozenset()) for name in names]
    made = Labelled(Benchmark("a", {n: Path(n) for n in names}, {"": queries}, ("mAP",)), groups)
    by_group = {(groups[name], made.fold(name)) for name in names}
    assert len(by_group) == 60
    assert {fold for _, fold in by_group} == set(range(N_FOLDS))
    assert by_fold([]) == {}
