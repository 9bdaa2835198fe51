"""The shared look of all pictures: colours, titles, axes."""

from typing import Any

from spocdb.drawing.lettering import Lettering

INK, GREY, LINES, MAT, PAPER = "#1a1a1a", "#8a8a8a", "#e4e4e1", "#f3f3f1", "#ffffff"
ACCENT = "#d6402b"


def head(figure: Any, title: str) -> None:
    """Write a plot's title, in fonts that have its characters."""
    text, families = Lettering().for_plots(title)
    look = {"color": INK, "fontsize": 14, "fontfamily": families}
    # parse_math=False: a dollar sign in the title starts no formula.
    figure.suptitle(text, x=0.015, ha="left", parse_math=False, **look)


def style(axes: Any) -> None:
    """Apply the shared look to a plot's axes: few lines, plain numbers."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.grid(axis="y", color=LINES, linewidth=0.8)
    axes.set_axisbelow(True)
