"""Make the tables of docs/explanation/copies.md from the newest record of each folder.

From the repository's root: python -m benchmarks.copies.tables
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import record
from benchmarks.copies.changes import SETS
from benchmarks.copies.pairs import COPIES
from benchmarks.copies.peers import OWN
from benchmarks.table import DOCS, measured_on, replaced, table

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
        page = replaced(page, folder, shown(latest(folder)))
    PAGE.write_text(page)


def keep(folder: str, figures: Figures) -> None:
    """Replace a method's figures of a set of changes in the record of a folder."""
    before = latest(folder)["figures"] if is_recorded(folder) else []
    fresh = {(figure["set"], figure["method"]) for figure in figures}
    others = [figure for figure in before if (figure["set"], figure["method"]) not in fresh]
    record.write([*others, *figures], f"{RECORD}-{folder}")


def latest(folder: str) -> dict[str, Any]:
    """Return the newest record of a folder."""
    return record.latest(f"{RECORD}-{folder}")


def is_recorded(folder: str) -> bool:
    """Return whether a folder has a record."""
    return any(record.RESULTS.glob(f"*{RECORD}-{folder}-*.json"))


def recorded() -> list[str]:
    """Return the folders that have a record."""
    return [name for name in FOLDERS if is_recorded(name)]


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
    names = {figure["method"] for figure in found}
    methods = sorted(names, key=lambda name: (not name.startswith("spocdb"), name))
    rows = []
    for which, changes in SETS.items():
        by_method = {f["method"]: f for f in found if f["set"] == which}
        columns = [_column(by_method.get(method), [*changes, COPIES]) for method in methods]
        heads = [f"**{which}: all changes**", "precision", "up to the distance", *changes, COPIES]
        rows += [[*row] for row in zip(heads, *columns, strict=True)]
    not_run = "" if f"imagededup, CNN, {OWN}" in methods else f"\nNot run: {_own()}.\n"
    return table(["recall", *methods], rows) + not_run


def _column(figure: Mapping[str, Any] | None, changes: Sequence[str]) -> list[str]:
    """Return the cells of a method; empty if it was not run."""
    if figure is None:
        return [""] * (3 + len(changes))
    return [
        f"**{_part(figure['recall'])}**",
        _part(figure["precision"]),
        _distances(figure["thresholds"]),
        *(_part(figure["by_change"][change]) for change in changes),
    ]


def groups(figures: Figures) -> str:
    """Return what groups of the same picture's copies join, by distance."""
    rows = [
        [
            f["method"],
            f"{f['distance']:g}",
            *(_mixed(f[way]) for way in ("stars", "linkage")),
            *(_part(f[way]["n_together"] / f[way]["n_copies"]) for way in ("stars", "linkage")),
        ]
        for f in sorted(
            (f for f in figures if "stars" in f), key=lambda f: (f["method"], f["distance"])
        )
    ]
    header = ["embeddings", "distance", "mixed, spocdb", "mixed, single linkage"]
    return table([*header, "together, spocdb", "together, single linkage"], rows)


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


if __name__ == "__main__":
    main()
