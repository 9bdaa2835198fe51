"""The plot of a gallery's growth, extrapolated to ten million images."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figure
from spocdb import outfiles
from spocdb.drawing import look

AHEAD = 10_000_000
MEASURED = re.compile(r"growth to ([\d,]+), (.+)")

Points = dict[int, float]


def read(figures: Sequence[Figure]) -> dict[str, Points]:
    """Return the measured values by quantity and number of images."""
    found: dict[str, Points] = {}
    for figure in figures:
        if matched := MEASURED.fullmatch(figure.name):
            points = found.setdefault(matched[2], {})
            points[int(matched[1].replace(",", ""))] = figure.value
    return found


def ahead(points: Points, law: Callable[[int], float]) -> float:
    """Return the value at AHEAD images, extrapolated by a law from the largest measured size."""
    largest = max(points)
    return points[largest] * law(AHEAD) / law(largest)


def constant(_: int) -> float:
    """Return the same cost for every size."""
    return 1


def by_steps(n: int) -> float:
    """Return the growth of the number of steps in a graph search."""
    return math.log(n)


def by_walks(n: int) -> float:
    """Return the growth of a build, which does a graph search per image."""
    return n * math.log(n)


def draw(figures: Sequence[Figure], out: Path) -> None:
    """Draw time and bytes per image, the index build, and the search latency."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    found = read(figures)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.05, hspace=0.06)
    drawing = Drawing(figsize=(10, 7), dpi=110, layout=layout)
    (writing, storing), (building, searching) = drawing.subplots(2, 2)
    _lines(writing, "time to write an image, us", [("", found["write"], constant)])
    parts = ("raw", "embedding", "index", "image")
    curves = [(part, found[f"bytes of {part}"], constant) for part in parts]
    _lines(storing, "bytes of an image", curves)
    build = {n: seconds / 60 for n, seconds in found["index build"].items()}
    _lines(building, "build of the index, minutes", [("", build, by_walks)])
    latency = [(f"p{q}", found[f"search, p{q}"], by_steps) for q in (99, 50)]
    _lines(searching, "a search, ms", latency)
    note = f"measured up to {max(found['write']):,} images; hollow, ten million: computed"
    building.set_yscale("log")
    for axes in (writing, storing, searching):
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    drawing.text(0.01, -0.03, note, color=look.GREY, fontsize=9)
    with outfiles.replaced(out) as fresh:
        drawing.savefig(fresh, bbox_inches="tight")


def _lines(
    axes: Any, title: str, curves: Sequence[tuple[str, Points, Callable[[int], float]]]
) -> None:
    shades = (look.ACCENT, look.INK, look.GREY, "#c9a227")
    # Labels alternate above and below, as two curves may lie close together.
    places = ((0, 6), (0, -14), (0, 6), (0, -14))
    for (name, points, law), colour, place in zip(curves, shades, places, strict=False):
        sizes = sorted(points)
        values = [points[n] for n in sizes]
        axes.plot(sizes, values, color=colour, marker="o", markersize=4)
        last, computed = values[-1], ahead(points, law)
        axes.plot([sizes[-1], AHEAD], [last, computed], color=colour, linestyle=":")
        axes.plot([AHEAD], [computed], color=colour, marker="o", markerfacecolor="white")
        axes.annotate(name, (sizes[-1], last), place, textcoords="offset points", color=colour)
    axes.set_xscale("log")
    axes.set_title(title, loc="left", fontsize=10, color=look.GREY)
    axes.set_xlabel("images", color=look.GREY, fontsize=9)
    look.style(axes)
