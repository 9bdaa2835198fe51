"""The drawing of a PCA's variance: points, axes and words, worked out by hand."""

import re

from spocdb.web.pages.variance import BOTTOM, LEFT, RIGHT, TOP, plot

SPACE = "\N{NO-BREAK SPACE}"


def test_four_components() -> None:
    found = plot([0.5, 0.25, 0.125, 0.0625])
    assert found is not None
    high = BOTTOM - TOP
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", found.line)]
    assert points[0] == (LEFT, BOTTOM - 0.5 * high)
    # Two of four components are half way on the logarithmic axis.
    assert points[1] == ((LEFT + RIGHT) / 2, BOTTOM - 0.75 * high)
    assert found.end == (RIGHT, BOTTOM - 0.9375 * high)
    assert found.across == [(LEFT, "1"), (RIGHT, "4")]
    assert [label for _, label in found.up] == [f"{n}{SPACE}%" for n in (0, 50, 100)]
    assert found.caption.replace(SPACE, " ") == (
        "One component explains 50 % of the variance, all 4 explain 94 %."
    )
    assert found.description.replace(SPACE, " ").endswith("1: 50 %, 2: 75 %, 4: 94 %")


def test_one_component_and_none() -> None:
    found = plot([0.031])
    assert found is not None
    assert found.across == [(LEFT, "1")]
    assert found.caption.replace(SPACE, " ") == "One component explains 3.1 % of the variance."
    assert plot([]) is None


def test_many_components_are_few_points_and_never_more_than_all() -> None:
    found = plot([1.0001 / 2000] * 2000)
    assert found is not None
    assert found.line.count("L") < 700
    assert found.end == (RIGHT, TOP)
    assert [label for _, label in found.across] == ["1", "4", "16", "64", "256", "1024", "2000"][
        ::1
    ]
    assert ", 500 explain 25" in found.caption
