"""The picture of a training: the loss, and what was held out, by epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spocdb import pictures
from spocdb.training.checkpoints import Epoch


def draw(history: Sequence[Epoch], title: str, out: Path, ceiling: float | None = None) -> None:
    """Draw the curves; `ceiling` is the teachers' own mAP. Raises ConfigError."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.06)
    figure = Figure(figsize=(12, 4.5), dpi=160, layout=layout)
    pictures.head(figure, title)
    losses, quality = figure.subplots(1, 2)
    trained = [epoch for epoch in history if epoch.loss is not None]
    # Markers: a line through the only epoch is nothing to be seen.
    look: dict[str, Any] = {"color": pictures.ACCENT, "marker": "o", "markersize": 4}
    losses.plot([e.number for e in trained], [e.loss for e in trained], **look)
    quality.plot([e.number for e in history], [e.mAP for e in history], **look)
    for axes in (losses, quality):
        # The same epochs below both, the beginning included, and room for an only one.
        axes.set_xlim(-0.5, max(e.number for e in history) + 0.5)
    if ceiling is not None:
        quality.axhline(ceiling, color=pictures.GREY, linestyle="--", linewidth=1)
        quality.annotate(
            "its teachers", (0, ceiling), (0, -12), textcoords="offset points", color=pictures.GREY
        )
    for axes, what in ((losses, "loss of an epoch"), (quality, "mAP of what was held out")):
        axes.set_title(what, loc="left", fontsize=10, color=pictures.GREY)
        axes.set_xlabel("epoch", color=pictures.GREY, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        pictures.style(axes)
    pictures.save(out, figure.savefig)
