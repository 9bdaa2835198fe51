"""spocdb pca."""

from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .output import print_json, print_table, talk

app = typer.Typer(
    help="Projections: PCA and whitening, versioned.", no_args_is_help=True, rich_markup_mode=None
)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="See `spocdb pca list`.")]


@app.command()
def fit(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="COLLECTION...", help="Whose images to fit on."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Fit on a folder of other images; it becomes a collection of its name.",
        ),
    ] = None,
    dim: options.Dim = 256,
    whiten: Annotated[bool, typer.Option(help="Divide by the singular values.")] = True,
    centre: Annotated[bool, typer.Option(help="Subtract the mean.")] = True,
    regularisation: Annotated[
        float, typer.Option(help="Part of the mean variance that is added to each one.")
    ] = 0.0,
    activate: Annotated[
        bool, typer.Option("--activate", help="Let the collection answer by it at once.")
    ] = False,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Fit a PCA on stored raw descriptors; no image is read.

    Best on images other than the gallery. It changes no search until it is activated.
    """
    with options.open_database(db) as database:
        names = list(collections or [])
        if folder is not None:
            names.append(database.ingest_beside(folder, collection, say=talk))
        number = database.pca.fit(
            *names, dim=dim, whiten=whiten, centre=centre, regularisation=regularisation
        )
        summary, _ = database.pca.show(number)
        print(
            f"projection {number}: {dim} dimensions of {summary.extractor}, "
            f"fitted on {summary.n_samples} images"
        )
        if activate:
            target = collection or (names[0] if len(names) == 1 and folder is None else None)
            database.pca.activate(number, target, say=talk)
            print(f"projection {number} is active")
        else:
            talk(f"next: spocdb pca activate {number}")


@app.command("list")
def list_(json: options.Json = False, db: options.Db = None) -> None:
    """List the projections."""
    with options.open_database(db) as database:
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
                p.n_samples,
                ", ".join(p.active),
                f"{p.created_at:%Y-%m-%d %H:%M}",
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
    """Show what a projection was fitted on, and how much of the variance it keeps."""
    from spocdb.pictures import draw_variance, variance_bars

    with options.open_database(db) as database:
        summary, projection = database.pca.show(number)
    if json:
        print_json({**_as_dict(summary), "explained": projection.explained.tolist()})
    else:
        for name, value in _as_dict(summary).items():
            print(f"{name:12} {value}")
        if len(projection.explained):
            print(variance_bars(projection.explained))
    if plot:
        draw_variance(projection.explained, f"projection {number}: {summary.extractor}", plot)
        talk(f"drew {plot}")


@app.command()
def activate(number: Number, collection: options.Collection = None, db: options.Db = None) -> None:
    """Let a collection answer by a projection; searches go on meanwhile."""
    with options.open_database(db) as database:
        database.pca.activate(number, collection, say=talk)
    print(f"projection {number} is active")


@app.command()
def rollback(collection: options.Collection = None, db: options.Db = None) -> None:
    """Let the projection before answer again; a second time is back again."""
    with options.open_database(db) as database:
        number = database.pca.rollback(collection, say=talk)
    print(f"projection {number} is active")


@app.command()
def export(
    number: Number,
    file: Annotated[Path, typer.Argument(help=".safetensors or .npz")],
    db: options.Db = None,
) -> None:
    """Write a projection to a file."""
    with options.open_database(db) as database:
        database.pca.export(number, file)
    talk(f"wrote {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `spocdb pca export` wrote.")],
    db: options.Db = None,
) -> None:
    """Store a projection from a file."""
    with options.open_database(db) as database:
        number = database.pca.import_(file)
    print(f"projection {number}")


@app.command()
def drop(
    number: Number,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Drop only this collection's embeddings by it."),
    ] = None,
    db: options.Db = None,
) -> None:
    """Drop a projection that is not in use."""
    with options.open_database(db) as database:
        database.pca.drop(number, collection)
    what = f"embeddings of {collection} by projection" if collection else "projection"
    print(f"dropped {what} {number}")


def _as_dict(summary: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(summary)
