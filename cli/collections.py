"""spocdb collections, spocdb extractors."""

from typing import Annotated

import typer

from . import options
from .output import print_json, print_table

app = typer.Typer(help="Collections: list, drop.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(json: options.Json = False, db: options.Db = None) -> None:
    """List the collections."""
    with options.open_database(db) as database:
        rows = database.collections()
    if json:
        print_json(rows)
        return
    print_table(
        ["name", "images", "failures", "extractor", "projection", "dim", "made"],
        [
            [
                c.name,
                c.n_images,
                c.n_failures,
                c.extractor,
                c.projection,
                c.dim,
                f"{c.created_at:%Y-%m-%d %H:%M}",
            ]
            for c in rows
        ],
    )


@app.command()
def drop(
    name: Annotated[str, typer.Argument(help="The collection to drop.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    db: options.Db = None,
) -> None:
    """Drop a collection with its images and embeddings; files and raw descriptors stay."""
    with options.open_database(db) as database:
        if not yes:
            typer.confirm(f"Drop the collection {name}?", abort=True)
        database.drop(name)
    print(f"dropped {name}")


def extractors(json: options.Json = False, db: options.Db = None) -> None:
    """List the extractors: those that the database knows, and the presets."""
    from spocdb.features.recipes import PRESETS

    with options.open_database(db) as database:
        rows = database.extractors()
    if json:
        print_json({"stored": rows, "presets": list(PRESETS.values())})
        return
    print_table(
        ["extractor", "dim", "size", "pooling", "sigma", "weights", "descriptors", "collections"],
        [
            [
                e.name,
                e.dim,
                e.recipe.size,
                e.recipe.pooling,
                _rounded(e.recipe.sigma),
                e.recipe.weights[:12],
                e.n_descriptors,
                ", ".join(e.collections),
            ]
            for e in rows
        ]
        + [
            [p.backbone, p.channels, p.size, p.pooling, _rounded(p.sigma), "preset", "", ""]
            for p in PRESETS.values()
        ],
    )


def _rounded(sigma: float | None) -> str:
    return "none" if sigma is None else f"{sigma:.3f}"
