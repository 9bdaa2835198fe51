"""Plots of an evaluation: quality by dimension, precision-recall, the worst queries."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from spocdb import outfiles
from spocdb.drawing import look, sheets
from spocdb.drawing.lettering import Lettering
from spocdb.drawing.sheets import Label
from spocdb.evaluation.benchmark import Benchmark, Query
from spocdb.evaluation.measures import RECALL_LEVELS
from spocdb.evaluation.results import Answer, Result, headline
from spocdb.settings import DEFAULT_MAX_PIXELS

log = logging.getLogger(__name__)

# One colour per method, in this order; further methods reuse the colours with another line style.
COLOURS = ("#d6402b", "#1f6f8b", "#e0a030", "#4b8b3b", "#7a4fa0", "#8c6d4f", "#30a0a0", "#b03070")
LINES = ("-", "--", ":")
N_WORST, TILE, GAP, TITLE = 8, 150, 14, 54
RIGHT = "#2f8f4e"


def check_name(out: Path) -> None:
    """Check that a plot can be written to `out`.

    Raises:
        ConfigError: The suffix is wrong, or the folder does not exist or is read-only.
    """
    outfiles.check(out, (".png",))


def draw_quality(results: Sequence[Result], out: Path) -> None:
    """Draw each method's first measure by dimension, and its precision-recall curve."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    first = results[0]
    shown = [r for r in results if (r.variant, r.measure) == (first.variant, first.measure)]
    # Compare whitened results, fitted on the training images if there are any.
    fitted_on = "train" if any(r.fitted_on == "train" for r in shown) else "gallery"
    whitened = [r for r in shown if r.embedding == "whitened" and r.fitted_on == fitted_on]
    chosen = whitened or shown
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.06)
    figure = Figure(figsize=(12, 5), dpi=160, layout=layout)
    name = " ".join(filter(None, (first.benchmark, first.variant)))
    look.head(figure, name)
    quality, curves = figure.subplots(1, 2)
    for number, method in enumerate(dict.fromkeys(r.method for r in chosen)):
        of_method = sorted((r for r in chosen if r.method == method), key=lambda r: r.dim)
        line: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINES[number // len(COLOURS) % len(LINES)],
            "linewidth": 1.8,
        }
        quality.plot(
            [r.dim for r in of_method], [r.exact for r in of_method], marker="o", ms=4, **line
        )
        at = headline(of_method)
        curves.plot(RECALL_LEVELS, at.curve, label=f"{method}, {at.dim}", **line)
    how = "whitened" if whitened else "raw"
    _titled(quality, f"{first.measure} by dimension, {how}")
    quality.set_xscale("log", base=2)
    quality.set_xticks(sorted({r.dim for r in chosen}))
    _titled(curves, "precision over recall, each at its best dimension")
    curves.set_ylim(0, 1.02)
    curves.legend(frameon=False, fontsize=8, labelcolor=look.INK, loc="lower left")
    for axes in (quality, curves):
        look.style(axes)
    with outfiles.replaced(out) as fresh:
        figure.savefig(fresh)


def draw_worst(
    results: Sequence[Result],
    benchmark: Benchmark,
    out: Path,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> None:
    """Draw the worst queries of the best result with their first answers; right ones are framed."""
    best = headline(results)
    worst = sorted(best.answers, key=lambda answer: (answer.value, answer.query))[:N_WORST]
    queries = {query.name: query for query in benchmark.variants[best.variant]}
    columns = 1 + max(len(answer.found) for answer in worst)
    row_height = TILE + sheets.BELOW
    size = (
        2 * sheets.MARGIN + columns * (TILE + GAP) + GAP,
        2 * sheets.MARGIN + TITLE + len(worst) * row_height,
    )
    sheet = Image.new("RGB", size, look.PAPER)
    name = " ".join(filter(None, (benchmark.name, best.variant)))
    title = (
        f"{name}: the worst queries of {best.method}, "
        f"{best.embedding} {best.dim}, {best.measure} {best.exact:.4f}"
    )
    corner = (sheets.MARGIN, sheets.MARGIN)
    letters = Lettering()
    letters.draw(sheet, corner, title, look.INK, 22)
    for row, answer in enumerate(worst):
        y = sheets.MARGIN + TITLE + row * row_height
        _draw_answer(sheet, y, queries[answer.query], answer, benchmark, max_pixels, letters)
    with outfiles.replaced(out) as fresh:
        sheet.save(fresh)
    if line := letters.complaint():
        log.warning("%s", line)


def _draw_answer(
    sheet: Image.Image,
    y: int,
    query: Query,
    answer: Answer,
    benchmark: Benchmark,
    max_pixels: int,
    letters: Lettering,
) -> None:
    x = sheets.MARGIN
    path = query.path or benchmark.images[query.name]
    picture = sheets.matted(path, TILE, max_pixels, query.crop, letters=letters)
    names = sheets.apart([str(path), *(str(benchmark.images[name]) for name, _ in answer.found)])
    label = Label("query", names[0], f"{answer.value:.3f}")
    sheets.draw_tile(sheet, (x, y), picture, label, letters)
    for rank, (name, is_right) in enumerate(answer.found, start=1):
        x += TILE + (2 * GAP if rank == 1 else GAP)
        word = "right" if is_right else "wrong"
        picture = sheets.matted(benchmark.images[name], TILE, max_pixels, letters=letters)
        label = Label(str(rank), names[rank], word)
        sheets.draw_tile(sheet, (x, y), picture, label, letters)
        if is_right:
            box = (x - 4, y - 4, x + TILE + 3, y + TILE + 3)
            ImageDraw.Draw(sheet).rectangle(box, outline=RIGHT, width=4)


def _titled(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=look.GREY)
