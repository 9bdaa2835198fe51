"""The shared look of all pictures: colours, titles, axes; and writing their files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spocdb.drawing.lettering import Lettering
from spocdb.errors import ConfigError

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


def check_name(out: Path, suffixes: Sequence[str]) -> None:
    """Check the suffix of a file name.

    Raises:
        ConfigError: The name has none of the suffixes.
    """
    if out.suffix.lower() not in suffixes:
        raise ConfigError(f"cannot write {out}: the name must end in {' or '.join(suffixes)}")


def save(out: Path, write: Callable[[Path], None]) -> None:
    """Write a picture to a file.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        write(out)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error
