"""spocdb pca."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import fitting, options
from .output import counted, moment, print_json, print_table, talk

if TYPE_CHECKING:
    from spocdb.db.projections import ProjectionSummary

app = typer.Typer(
    help="Projections: PCA, learned whitening, linear heads; versioned.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="See `spocdb pca list`.")]


app.command()(fitting.fit)
app.command()(fitting.learn)


@app.command("list")
def list_(json: options.Json = False, db: options.Db = None) -> None:
    """List the projections."""
    with options.open_all(db) as database:
        rows = database.pca.list()
    if json:
        print_json(rows)
        return
    print_table(
        ["number", "kind", "dim", "extractor", "fitted on", "images", "active for", "made"],
        [
            [
                p.id,
                p.kind,
                p.dim,
                p.extractor,
                ", ".join(p.fitted_on.get("collections", [])),
                f"{p.n_samples}, few" if p.scarcity else p.n_samples,
                ", ".join(p.active),
                moment(p.created_at),
            ]
            for p in rows
        ],
    )


@app.command()
def show(
    number: Number,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the explained variance.")
    ] = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Show which images a projection was fitted on, and how much of the variance it keeps."""
    from spocdb.drawing.plots import draw_variance, variance_bars

    with options.open_database(db) as database:
        summary, projection = database.pca.show(number)
        found = {name: database.duplicates.thresholds(name) for name in summary.active}
    measured = {name: thresholds for name, thresholds in found.items() if thresholds}
    if json:
        print_json(
            {
                **_as_dict(summary),
                "explained": projection.explained.tolist(),
                "thresholds": measured,
            }
        )
    else:
        _print_summary(summary)
        for name, thresholds in measured.items():
            print(
                f"near-duplicates of {name}: the same picture up to {thresholds.picture:.4f}, "
                f"the same scene up to {thresholds.scene:.4f}; "
                f"calibrated {moment(thresholds.calibrated_at)}"
            )
        if summary.scarcity:
            talk(f"warning: {summary.scarcity}")
        if len(projection.explained):
            print("\nvariance explained by the first components")
            print(variance_bars(projection.explained))
    if plot and not len(projection.explained):
        talk(f"projection {number} is the raw one: there is no variance to draw")
    elif plot:
        draw_variance(projection.explained, f"projection {number}: {summary.extractor}", plot)
        talk(f"drew {plot}")


@app.command()
def activate(number: Number, collection: options.Collection = None, db: options.Db = None) -> None:
    """Activate a projection for a collection; searches continue meanwhile."""
    with options.open_all(db) as database:
        name = database.collection(collection)
        database.pca.activate(number, name)
    print(f"{name}: projection {number} is active")


@app.command()
def augment(
    neighbours: Annotated[
        int, typer.Option(help="How many nearest neighbours are added to each embedding.")
    ] = 5,
    alpha: Annotated[
        float, typer.Option(help="Each neighbour is weighted by similarity ^ alpha; 0: equally.")
    ] = 3.0,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Add to every embedding its nearest neighbours (database-side augmentation).

    The result is a new projection, active at once; `spocdb pca rollback` undoes it. Images that are
    ingested later are embedded without neighbours; to include them, roll back and augment again.
    """
    with options.open_database(db) as database:
        name = database.collection(collection)
        number = database.pca.augment(name, neighbours=neighbours, alpha=alpha)
    print(f"{name}: projection {number} is active")


@app.command()
def rollback(collection: options.Collection = None, db: options.Db = None) -> None:
    """Activate the previous projection; a second call undoes the first."""
    with options.open_all(db) as database:
        name = database.collection(collection)
        number = database.pca.rollback(name)
    print(f"{name}: projection {number} is active")


@app.command()
def export(
    number: Number,
    file: Annotated[Path, typer.Argument(help=".safetensors or .npz")],
    db: options.Db = None,
) -> None:
    """Write a projection to a file."""
    with options.open_all(db) as database:
        database.pca.export(number, file)
    talk(f"wrote {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of `spocdb pca export`.")],
    db: options.Db = None,
) -> None:
    """Store a projection from a file."""
    with options.open_all(db) as database:
        number = database.pca.import_(file)
    print(f"projection {number}")


@app.command()
def drop(
    number: Number,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Drop only its embeddings of this collection."),
    ] = None,
    dry_run: options.DryRun = False,
    db: options.Db = None,
) -> None:
    """Drop a projection that is not in use."""
    what = f"embeddings of {collection} by projection" if collection else "projection"
    with options.open_database(db) as database:
        database.pca.drop(number, collection, dry_run=dry_run)
    print(f"{'would drop' if dry_run else 'dropped'} {what} {number}")


def _print_summary(summary: "ProjectionSummary") -> None:
    fitted_on = summary.fitted_on
    facts = {
        "kind": summary.kind,
        "dim": summary.dim,
        "extractor": summary.extractor,
        "fitted on": ", ".join(fitted_on.get("collections", [])),
        "images": summary.n_samples,
        **_pairs(fitted_on),
        "images sha256": fitted_on.get("images_sha256", ""),
        "settings": ", ".join(f"{name} {value}" for name, value in summary.settings.items()),
        "fingerprint": summary.fingerprint,
        "made": moment(summary.created_at),
        "embeds": ", ".join(summary.embedded),
        "active for": ", ".join(summary.active),
    }
    for name, value in facts.items():
        print(f"{name:14} {value}".rstrip())


def _pairs(fitted_on: dict[str, Any]) -> dict[str, str]:
    if "n_pairs" not in fitted_on:
        return {}
    classes = counted(fitted_on["n_classes"], "class", "classes")
    return {"pairs": f"{fitted_on['n_pairs']:,} of {classes}"}


def _as_dict(summary: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(summary)
