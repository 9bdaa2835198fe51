"""A plot of a calibration: precision and recall of near-duplicates over the distance."""

from pathlib import Path

from spocdb import outfiles
from spocdb.drawing.look import ACCENT, GREY, INK, head, style
from spocdb.thresholds import Calibration

BLUE = "#1f6f8b"
SUFFIXES = (".png", ".svg", ".pdf")


def check_name(out: Path) -> None:
    """Check that a plot can be written to `out`.

    Raises:
        ConfigError: The suffix is wrong, or the folder does not exist or is read-only.
    """
    outfiles.check(out, SUFFIXES)


def draw_calibration(measured: Calibration, out: Path) -> None:
    """Draw precision and recall over the distance, with the thresholds, into the file `out`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    outfiles.check(out, SUFFIXES)
    figure = Figure(
        figsize=(9, 4.8), dpi=160, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)
    )
    head(figure, f"{measured.collection}: near-duplicates by projection {measured.projection}")
    axes = figure.subplots()
    distances = [point.distance for point in measured.curve]
    for values, label, colour, line in (
        ([point.precision for point in measured.curve], "precision", ACCENT, "-"),
        ([point.recall for point in measured.curve], "recall, same picture", BLUE, "-"),
        ([point.scene_recall for point in measured.curve], "recall, all copies", BLUE, "--"),
    ):
        axes.plot(distances, values, label=label, color=colour, linestyle=line, linewidth=2.0)
    for name, at in (("same picture", measured.picture), ("same scene", measured.scene)):
        if at is not None:
            axes.axvline(at, color=GREY, linewidth=1.0, linestyle=":")
            axes.annotate(
                f"{name} {at:.3f}",
                (at, 0.02),
                xytext=(4, 0),
                textcoords="offset points",
                rotation=90,
                va="bottom",
                fontsize=8,
                color=INK,
            )
    axes.set_xlim(0, max(distances, default=1.0))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("cosine distance", color=GREY, fontsize=9)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center right")
    style(axes)
    with outfiles.replaced(out) as fresh:
        figure.savefig(fresh)
