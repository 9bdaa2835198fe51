"""The tables of networks and the method `best` are those of the newest records."""

from typing import Any

import pytest

from benchmarks import methods, networks, record
from benchmarks.labelled import Labelled
from benchmarks.quality import summary
from benchmarks.table import replaced
from spocdb.evaluation.benchmark import Benchmark
from spocdb.evaluation.best import RECIPES, best_of
from spocdb.evaluation.methods import BEST
from spocdb.features.backbones import find, names

CHOSEN = networks.chosen()


def test_the_tables_are_those_of_the_newest_records() -> None:
    about, page = record.latest(networks.QUALITY), networks.PAGE.read_text()
    assert replaced(page, "networks", networks.all_rows(about)) == page
    assert replaced(page, "choices", networks.choices(CHOSEN)) == page
    compared = methods.table(record.latest(methods.COMPARISON)["figures"])
    assert replaced(page, "methods", compared) == page
    readme = networks.README.read_text()
    assert replaced(readme, "networks", networks.best_rows(about)) == readme
    assert networks.PLOT.stat().st_size < 150_000


def test_every_network_was_measured_or_is_said_not_to_be() -> None:
    about = record.latest(networks.QUALITY)
    for rows in (networks.all_rows(about), networks.best_rows(about)):
        *_, last = rows.splitlines()
        _, not_run = last.split("Not run: ")
        run = {figure["network"] for figure in about["figures"]}
        assert all((f"`{name}`" in not_run) != (name in run) for name in names())


@pytest.mark.parametrize("choice", CHOSEN, ids=[choice["network"] for choice in CHOSEN])
def test_the_best_recipes_are_those_that_were_chosen(choice: Any) -> None:
    best = best_of(choice["network"])
    assert (best is BEST) == (choice["chosen"] == choice["plain"])
    assert dict(best.recipe) == choice["recipe"]
    assert int(find(choice["network"]).size * best.enlarge) == choice["size"]
    if best is not BEST:
        assert best.regularisation == choice["shrinkage"]
        known = RECIPES[choice["network"]]
        assert (known.gain, known.spread) == pytest.approx(
            (choice["gain"], choice["spread"]), abs=5e-4
        )
        assert known.gain > known.spread


def test_no_best_recipe_was_made_up() -> None:
    assert RECIPES.keys() <= {choice["network"] for choice in CHOSEN}


def test_a_choice_is_told_as_options_with_what_the_kept_folds_say() -> None:
    kept = {
        "plain-raw": dict.fromkeys(networks.SETS, 0.5),
        "x": dict.fromkeys(networks.SETS, 0.625),
    }
    made = {
        "network": "mini",
        "views": ["aspect", "flip"],
        "recipe": {"pooling": "gem", "gem_p": 2.0, "fit": "aspect", "flip": True},
        "size": 295,
        "shrinkage": 0.3,
        "chosen": "x",
        "plain": "plain-raw",
        "gain": 0.0214,
        "spread": 0.01,
        "validated": {"gain": -0.002, "spread": 0.03},
        "kept": kept,
    }
    told = networks.choices([made, made | {"chosen": "plain-raw"}])
    *_, first, second = told.splitlines()
    options = "--pooling gem --gem-p 2.0 --fit aspect --flip --size 295 --regularisation 0.3"
    changed = " | ".join(["0.500 → 0.625"] * 3)
    assert first == (
        f"| `mini` | `{options}` | +0.021 ± 0.010 | -0.002 ± 0.030 | {changed} | "
        "poolings, aspect, flip |"
    )
    assert second.startswith("| `mini` | plain |  | -0.002 ± 0.030 | 0.500 | 0.500 | 0.500 |")


def test_a_set_is_told_by_its_queries_and_the_spread_of_its_folds() -> None:
    groups = {str(number): str(number) for number in range(100)}
    labelled = Labelled(Benchmark("a", {}, {}, ("mAP",)), groups)
    values = {query: float(labelled.fold(query) == 0) for query in groups}
    part = sum(values.values()) / 100
    found = summary(labelled, values)
    assert found == pytest.approx({"mAP": part, "spread": (1 / 5) ** 0.5})
    assert 0 < part < 0.5
