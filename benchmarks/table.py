"""Make the tables of performance.md and serve.md in docs, and the plots, from the newest records.

From the repository's root: python -m benchmarks.table
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.database import plots, tables
from benchmarks.limits import CEILING, LIMIT, SLOWEST
from benchmarks.record import Figure, number
from benchmarks.serving import PEER as SCRIPT
from benchmarks.sources import SOURCES
from spocdb import outfiles
from spocdb.drawing import look

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PERFORMANCE, SERVE = DOCS / "explanation" / "performance.md", DOCS / "how-to" / "serve.md"
PLOT, GROWTH = DOCS / "pictures" / "performance.png", DOCS / "pictures" / "growth.png"

# The rows of the first table, by the beginning of the figures' names; missing ones are left out.
SHOWN = {
    "ingest, vgg19": "ingest by VGG-19, CPU",
    "ingest, mini": "ingest by `mini`, CPU",
    "load, 512": "writing raw descriptors and embeddings",
    "load, beside INSERT": "writing raw descriptors and embeddings",
    "re-projection, rate": "re-projection of stored descriptors, searches going on",
    "our view, p50": "search in the view",
    "search(), p50": "search by `spocdb.search()`",
    "similar in Python, p50": "search by id, through Python",
    "PCA fit, beside scikit": "fitting a PCA",
    "PCA fit, beside faiss": "fitting a PCA",
    "ingest, peak memory": "peak memory of an ingest",
    "import spocdb": "`import spocdb`",
}
# Figures whose peer is spocdb itself or no real alternative, and those of the page, told elsewhere.
NOT_DRAWN = (
    *("ingest, peak memory", "import spocdb", "mini, beside", "search meanwhile"),
    *("by hnsw-", "1 tables", "4 tables", "16 tables", "scrolling the last tenth"),
    *("heap", "page a", "first picture", "start, ", "uploads, "),
)
# Of latencies only the median is drawn.
NOT_DRAWN_ENDS = (", p95", ", p99", ", p50 of processor")


def main() -> None:
    """Write the tables and the plots."""
    about, figures = record.newest()
    text = replaced(PERFORMANCE.read_text(), "benchmarks", shown(about, figures))
    text = replaced(text, "limits", limits(about, figures))
    text = replaced(text, "database", tables.tables(figures))
    kept = record.latest(SOURCES)
    read = sources(kept, [record.as_figure(figure) for figure in kept["figures"]])
    PERFORMANCE.write_text(replaced(text, "sources", read))
    SERVE.write_text(replaced(SERVE.read_text(), "serving", serving(about, figures)))
    draw(about, figures, PLOT)
    if plots.read(figures):
        plots.draw(figures, GROWTH)
    print(shown(about, figures))


def replaced(text: str, name: str, block: str) -> str:
    """Return a text with the block between `<!-- name -->` and the next `<!-- end -->` replaced.

    Raises:
        ValueError: There is no such block.
    """
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    new, n = place.subn(lambda found: found[1] + block + found[2], text, count=1)
    if not n:
        raise ValueError(f"there is no <!-- {name} --> ... <!-- end -->")
    return new


def shown(about: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return the first table, the overview."""
    rows = []
    for begin, what in SHOWN.items():
        found = next((f for f in figures if f.name.startswith(begin)), None)
        if found and found.peer is not None:
            rows.append(_beside(found, what))
    return _compared(about, rows)


def sources(about: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return the table of the ingests by source, and of the buckets."""
    # Local files are beside themselves in the record.
    return _compared(about, [_beside(f, f.name) for f in figures if f.value != f.peer])


def serving(about: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return the table of the answers of `spocdb serve`."""
    return _compared(about, [_beside(f, f.name) for f in figures if f.peer_name == SCRIPT])


def _compared(about: dict[str, Any], rows: Sequence[Sequence[str]]) -> str:
    header = ("", "spocdb", "beside it, in the same run", "better")
    return f"{measured_on(about)}\n\n{table(header, rows)}"


def _beside(figure: Figure, what: str) -> list[str]:
    """Return a row: what was measured, its value, its peer's, and how many times better it is."""
    size = f", {figure.note}" if figure.note else ""
    cells = [what + size, f"{number(figure.value)} {figure.unit}"]
    if figure.peer is None:
        return [*cells, "", ""]
    peer = f"{number(figure.peer)} {figure.unit}, {figure.peer_name}"
    return [*cells, peer, times(figure.advantage or 0)]


def limits(about: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return the table of limits: the limit, the measured value, the share."""
    rows = [_limit(f) for f in figures if f.peer_name == CEILING]
    slowest = [
        f"{f.name.removeprefix(f'{SLOWEST}, ')} by the {f.note} stage, whose own speed it reaches "
        f"to {f.value:.0%}"
        for f in figures
        if f.name.startswith(SLOWEST)
    ]
    header = "| | the limit | images/s at most | measured | share |\n|---|---|---|---|---|\n"
    said = f"\nAn ingest is limited: {'; '.join(slowest)}.\n" if slowest else ""
    return f"{measured_on(about)}\n\n{header}{''.join(rows)}{said}"


def _limit(figure: Figure) -> str:
    most, measured, share = figure.value, "", ""
    if figure.peer is not None:
        most, measured, share = figure.peer, number(figure.value), f"{figure.ratio:.0%}"
    name = figure.name.removeprefix(f"{LIMIT}, ")
    return f"| {name} | {figure.note} | {number(most)} | {measured} | {share} |\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def measured_on(about: dict[str, Any]) -> str:
    """Return a line with machine, date and commit."""
    machine = about["machine"]
    instructions = f" with {', '.join(machine['instructions'])}" if machine["instructions"] else ""
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores{instructions}, "
        f"{machine['memory_gb']:.0f} GB{gpu}; {about['date']}, commit {about['commit']}:"
    )


def times(advantage: float) -> str:
    """Return how many times better something is."""
    return f"{advantage:,.0f} x" if advantage >= 10 else f"{advantage:.2g} x"


def draw(about: dict[str, Any], figures: Sequence[Figure], out: Path) -> None:
    """Draw how many times better each figure is than its peer."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    beside = [
        f
        for f in figures
        if f.advantage
        and f.peer_name != CEILING
        and not f.name.startswith(NOT_DRAWN)
        and not f.name.endswith(NOT_DRAWN_ENDS)
    ]
    names = [f"{f.name.partition(', beside')[0]}\nbeside {f.peer_name}" for f in beside]
    values = [f.advantage or 1 for f in beside]
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)
    drawing = Drawing(figsize=(9, 1 + 0.5 * len(beside)), dpi=110, layout=layout)
    machine = about["machine"]
    title = f"times better than its peer: {machine['processor']}, {machine['cores']} cores"
    drawing.suptitle(title, x=0.015, ha="left", color=look.INK, fontsize=12)
    axes = drawing.subplots()
    colours = [look.ACCENT if value >= 1 else look.GREY for value in values]
    # Bars start at one; a bar to the left means that the peer is better.
    bars = axes.barh(names, [v - 1 for v in values], left=1, color=colours, height=0.6)
    axes.bar_label(bars, [*map(times, values)], padding=4, fontsize=8, color=look.INK)
    axes.invert_yaxis()
    axes.set_xscale("log")
    look.style(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=look.LINES, linewidth=0.8)
    axes.margins(x=0.12)
    with outfiles.replaced(out) as fresh:
        drawing.savefig(fresh)


if __name__ == "__main__":
    main()
