"""Make the tables of networks and their plot from the newest records of quality and choices.

From the repository's root: python -m benchmarks.networks
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import record
from benchmarks.table import DOCS, ROOT, measured_on, replaced, table
from spocdb import outfiles
from spocdb.drawing import look
from spocdb.evaluation.plots import COLOURS
from spocdb.features.backbones import find, names

# Suffixes of the records.
QUALITY, CHOICE = "-quality", "-choice"
README, PAGE = ROOT / "README.md", DOCS / "explanation" / "quality.md"
PLOT = DOCS / "pictures" / "networks.png"
SETS = ("holidays", "grocery", "views")
# Milliseconds on the plot's axis.
TICKS = (2, 5, 10, 20, 50, 100, 200, 500, 1000)

Rows = Sequence[Mapping[str, Any]]


def main() -> None:
    """Write the tables and the plot."""
    about = record.latest(QUALITY)
    page = replaced(PAGE.read_text(), "networks", all_rows(about))
    PAGE.write_text(replaced(page, "choices", choices(chosen())))
    README.write_text(replaced(README.read_text(), "networks", best_rows(about)))
    draw(about, PLOT)
    print(all_rows(about))


def chosen() -> list[Mapping[str, Any]]:
    """Return the newest choice of each network that has one."""
    found = [name for name in names() if any(record.RESULTS.glob(f"*{CHOICE}-{name}-*.json"))]
    return [record.latest(f"{CHOICE}-{name}")["figures"][0] for name in found]


def all_rows(about: Mapping[str, Any]) -> str:
    """Return the table of the page: plain and best recipes, and the networks that were not run."""
    rows = [
        [f"`{f['network']}`", _named(f), *_quality(f, spread=True), *_costs(f)]
        for f in sorted(about["figures"], key=lambda f: names().index(f["network"]))
    ]
    header = ["network", "recipe", *SETS, "images/s", "embedding", "weights"]
    told = f"\n{_coarse(about)} {_not_run(about)}\n"
    return f"{measured_on(dict(about))}\n\n{table(header, rows)}{told}"


def best_rows(about: Mapping[str, Any]) -> str:
    """Return the table of the README: each network with its best recipe."""
    # The best recipe, where there is one, comes after the plain one.
    best = {f["network"]: f for f in about["figures"]}
    ordered = sorted(best.values(), key=lambda f: -fmean(s["mAP"] for s in f["sets"].values()))
    rows = [[f"`{f['network']}`", *_quality(f, spread=False), *_costs(f)] for f in ordered]
    header = ["network", *SETS, "images/s", "embedding", "weights"]
    return f"{table(header, rows)}\n{_not_run(about)}\n"


def choices(chosen: Rows) -> str:
    """Return the table of choices: the recipe, its gain, and what the kept folds say."""
    rows = []
    for choice in chosen:
        plain, best = (choice["kept"][choice[name]] for name in ("plain", "chosen"))
        is_plain = choice["chosen"] == choice["plain"]
        rows.append(
            [
                f"`{choice['network']}`",
                "plain" if is_plain else _options(choice),
                "" if is_plain else _gain(choice),
                _gain(choice["validated"]),
                *(
                    f"{plain[name]:.3f}" + ("" if is_plain else f" → {best[name]:.3f}")
                    for name in SETS
                ),
                ", ".join(["poolings", *choice["views"]]),
            ]
        )
    kept = [f"kept fold, {name}" for name in SETS]
    return table(["network", "best", "gain", "of choosing", *kept, "tried"], rows)


def _named(figure: Mapping[str, Any]) -> str:
    return "plain" if figure["recipe"] == "plain" else f"{figure['recipe']}: {figure['what']}"


def _quality(figure: Mapping[str, Any], *, spread: bool) -> list[str]:
    sets = [figure["sets"][name] for name in SETS]
    return [f"{s['mAP']:.3f}" + (f" ± {s['spread']:.3f}" if spread else "") for s in sets]


def _costs(figure: Mapping[str, Any]) -> list[str]:
    rate = 1000 * figure["cores"] / figure["image_ms"]
    return [
        f"{rate:.0f}",
        f"{figure['embedding_bytes']:,} B",
        f"{figure['weights_bytes'] / 1e6:.1f} MB",
    ]


def _coarse(about: Mapping[str, Any]) -> str:
    coarse = {f["network"] for f in about["figures"] if f["precision"] == "bfloat16"}
    return f"In bfloat16, as `auto` chooses here: {_listed(coarse)}." if coarse else "In float32."


def _not_run(about: Mapping[str, Any]) -> str:
    run = {figure["network"] for figure in about["figures"]}
    others = {name for name in names() if name not in run}
    return f"Not run: {_listed(others)}." if others else "All networks were run."


def _listed(some: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names() if name in some)


def _gain(told: Mapping[str, float]) -> str:
    return f"{told['gain']:+.3f} ± {told['spread']:.3f}"


def _options(choice: Mapping[str, Any]) -> str:
    """Return a recipe as the options of `ingest` and `pca fit`."""
    own = {} if choice["size"] == find(choice["network"]).size else {"size": choice["size"]}
    recipe = {**choice["recipe"], **own}
    given = [_option(name, value) for name, value in recipe.items()]
    given += [f"--regularisation {choice['shrinkage']}"] if choice["shrinkage"] else []
    return f"`{' '.join(given)}`"


def _option(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    return option if value is True else f"{option} {value}"


def draw(about: Mapping[str, Any], out: Path) -> None:
    """Draw each set's quality over the time of an image: from the plain recipe to the best one."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.05)
    drawing = Drawing(figsize=(12, 4.6), dpi=110, layout=layout)
    machine = about["machine"]
    look.head(drawing, f"quality over time: one core of {machine['processor']}")
    networks = [*dict.fromkeys(f["network"] for f in about["figures"])]
    times = [f["image_ms"] for f in about["figures"]]
    ticks = [tick for tick in TICKS if min(times) / 2 < tick < 2 * max(times)]
    panels = drawing.subplots(1, len(SETS))
    for axes, name in zip(panels, SETS, strict=True):
        for network, colour in zip(networks, COLOURS, strict=False):
            own = [f for f in about["figures"] if f["network"] == network]
            points = [(f["image_ms"], f["sets"][name]["mAP"]) for f in own]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=network)
            for figure, point in zip(own, points, strict=True):
                inner = look.PAPER if figure["recipe"] == "plain" else colour
                axes.plot(*point, "o", color=colour, markerfacecolor=inner, markersize=6)
        axes.set_title(f"{name}, mAP", loc="left", fontsize=10, color=look.GREY)
        axes.set_xlabel("ms an image; hollow: plain recipe", color=look.GREY, fontsize=9)
        axes.set_xscale("log")
        axes.set_xticks(ticks)
        axes.set_xticks([], minor=True)
        axes.margins(x=0.1, y=0.12)
        look.style(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    place: Any = {"loc": "outside right center", "frameon": False}
    drawing.legend(handles, labels, fontsize=9, labelcolor=look.INK, **place)
    with outfiles.replaced(out) as fresh:
        drawing.savefig(fresh)


if __name__ == "__main__":
    main()
