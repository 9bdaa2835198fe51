"""Plot of a training: loss and held-out mAP by epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spocdb import outfiles
from spocdb.drawing import look
from spocdb.training.checkpoints import Epoch


def draw(history: Sequence[Epoch], title: str, out: Path, ceiling: float | None = None) -> None:
    """Draw the curves; `ceiling` is the teachers' own mAP.

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.06)
    figure = Figure(figsize=(12, 4.5), dpi=160, layout=layout)
    look.head(figure, title)
    losses, quality = figure.subplots(1, 2)
    trained = [epoch for epoch in history if epoch.loss is not None]
    # Markers, because a line through a single epoch is invisible.
    line: dict[str, Any] = {"color": look.ACCENT, "marker": "o", "markersize": 4}
    losses.plot([e.number for e in trained], [e.loss for e in trained], **line)
    quality.plot([e.number for e in history], [e.mAP for e in history], **line)
    for axes in (losses, quality):
        # Both plots have the same epochs, from 0, with room for a single one.
        axes.set_xlim(-0.5, max(e.number for e in history) + 0.5)
    if ceiling is not None:
        quality.axhline(ceiling, color=look.GREY, linestyle="--", linewidth=1)
        quality.annotate(
            "its teachers", (0, ceiling), (0, -12), textcoords="offset points", color=look.GREY
        )
    for axes, what in ((losses, "loss of an epoch"), (quality, "mAP of held-out images")):
        axes.set_title(what, loc="left", fontsize=10, color=look.GREY)
        axes.set_xlabel("epoch", color=look.GREY, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        look.style(axes)
    with outfiles.replaced(out) as fresh:
        figure.savefig(fresh)
