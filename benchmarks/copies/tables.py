"""Make the tables of docs/explanation/copies.md from the newest record of each folder.

From the repository's root: python -m benchmarks.copies.tables
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import record
from benchmarks.copies.changes import SETS
from benchmarks.copies.pairs import COPIES
from benchmarks.copies.peers import OWN
from benchmarks.table import DOCS, measured_on, replaced

# Suffix of the records; the folder's name follows.
RECORD = "-copies"
PAGE = DOCS / "explanation" / "copies.md"
# The folders of the page.
FOLDERS = ("photos1000", "holidays")

Figures = Sequence[Mapping[str, Any]]


def main() -> None:
    """Write the tables."""
    page = PAGE.read_text()
    for folder in recorded():
        page = replaced(page, folder, shown(record.latest(f"{RECORD}-{folder}")))
    PAGE.write_text(page)


def recorded() -> list[str]:
    """Return the folders that have a record."""
    return [name for name in FOLDERS if any(record.RESULTS.glob(f"*{RECORD}-{name}-*.json"))]


def shown(about: Mapping[str, Any]) -> str:
    """Return the tables of a record."""
    figures = about["figures"]
    first = figures[0]
    return (
        f"{measured_on(dict(about))}\n\n"
        f"{first['images']:,} photographs, copies of {first['originals']}.\n\n"
        f"{pairs(figures)}\n{groups(figures)}"
    )


def pairs(figures: Figures) -> str:
    """Return the recall of each change, by each method."""
    found = [figure for figure in figures if "recall" in figure]
    methods = [*dict.fromkeys(figure["method"] for figure in found)]
    rows = []
    for which, changes in SETS.items():
        by_method = {f["method"]: f for f in found if f["set"] == which}
        own = [by_method[method] for method in methods]
        rows.append([f"**{which}: all changes**", *(f"**{_part(f['recall'])}**" for f in own)])
        rows.append(["precision", *(_part(f["precision"]) for f in own)])
        rows.append(["up to the distance", *(_distances(f["thresholds"]) for f in own)])
        rows += [
            [change, *(_part(f["by_change"][change]) for f in own)] for change in (*changes, COPIES)
        ]
    not_run = "" if f"imagededup, CNN, {OWN}" in methods else f"\nNot run: {_own()}.\n"
    return _table(["recall", *methods], rows) + not_run


def groups(figures: Figures) -> str:
    """Return what groups of the same picture's copies join, by distance."""
    rows = [
        [
            f["method"],
            f"{f['distance']:g}",
            *(_mixed(f[way]) for way in ("stars", "linkage")),
            *(_part(f[way]["n_together"] / f[way]["n_copies"]) for way in ("stars", "linkage")),
        ]
        for f in figures
        if "stars" in f
    ]
    header = ["embeddings", "distance", "mixed, spocdb", "mixed, single linkage"]
    return _table([*header, "together, spocdb", "together, single linkage"], rows)


def _mixed(grouped: Mapping[str, int]) -> str:
    """Return how many groups join photographs, of how many, and how many photographs at most."""
    told = f"{grouped['n_mixed']} of {grouped['n_groups']}"
    return f"{told}, up to {grouped['largest_mixed']}" if grouped["n_mixed"] else told


def _own() -> str:
    return f"imagededup's own network, `{OWN}`, whose weights were not on this machine"


def _part(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _distances(thresholds: Sequence[float | None]) -> str:
    return ", ".join("none" if value is None else f"{value:.3g}" for value in thresholds)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
