"""Plots: the variance that a PCA explains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spocdb import outfiles
from spocdb.drawing.look import ACCENT, GREY, head, style
from spocdb.records import Float64Array

BLOCKS = " ▏▎▍▌▋▊▉█"


def draw_variance(explained: Float64Array, title: str, out: Path) -> None:
    """Draw each component's share of the variance and the cumulative sum into the file `out`."""
    # Not pyplot, which keeps figures and a window system for the whole process.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FuncFormatter

    outfiles.check(out, (".png", ".svg", ".pdf"))
    numbers = np.arange(1, len(explained) + 1)
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.06)
    figure = Figure(figsize=(11, 4.6), dpi=160, layout=layout)
    head(figure, title)
    each, total = figure.subplots(1, 2)
    each.bar(numbers, explained, width=0.8 if len(numbers) <= 64 else 1.0, color=ACCENT)
    each.set_title("explained by each component", loc="left", fontsize=10, color=GREY)
    each.set_xlim(0.4, len(numbers) + 0.6)
    # A marker, because a line through a single point is invisible.
    dot = "o" if len(numbers) == 1 else None
    total.plot(numbers, np.cumsum(explained), color=ACCENT, linewidth=2.2, marker=dot)
    total.set_title(
        "explained by the first components together", loc="left", fontsize=10, color=GREY
    )
    total.set_xscale("log", base=2)
    total.set_ylim(0, 1.02)
    for axes in (each, total):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:g} %"))
        style(axes)
    with outfiles.replaced(out) as fresh:
        figure.savefig(fresh)


def variance_bars(explained: Float64Array, width: int = 40) -> str:
    """Return terminal lines with the variance of the first 1, 2, 4, ... and of all components."""
    together = np.cumsum(explained)
    return "\n".join(
        f"{n:>6}  {_bar(together[n - 1], width)}  {together[n - 1]:6.1%}"
        for n in _doublings(len(explained))
    )


def _doublings(last: int) -> Iterator[int]:
    n = 1
    while n < last:
        yield n
        n *= 2
    if last:
        yield last


def _bar(part: float, width: int) -> str:
    full, eighths = divmod(round(min(part, 1.0) * width * 8), 8)
    return ("█" * full + BLOCKS[eighths] * (eighths > 0)).ljust(width)
