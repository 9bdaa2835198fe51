"""spocdb collections, spocdb extractors."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import confirm, counted, moment, print_fields, print_json, print_table

if TYPE_CHECKING:
    from spocdb.db.details import Projected
    from spocdb.db.maps import CollectionMap

app = typer.Typer(
    help="Collections: list, show, drop.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(json: options.Json = False, db: options.Db = None) -> None:
    """List the collections."""
    with options.open_all(db) as database:
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
                moment(c.created_at),
            ]
            for c in rows
        ],
    )


@app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(help="The collection; without it the only one, or else photos.")
    ] = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Show all that is known about a collection."""
    with options.open_database(db) as database:
        found = database.describe(name)
    if json:
        print_json(found)
        return
    table = found.table
    print_fields(
        {
            "collection": found.name,
            "made": found.created_at,
            "table": table
            and f"{table.relation}, key {table.key_column}, image "
            f"{table.image_column} ({table.kind})",
            "rows": table and table.condition,
            "images": f"{found.n_images:,}, {found.n_contents:,} of them different",
            "failures": found.n_failures,
            "extractor": found.extractor,
            "recipe": [f"{k} {v}" for k, v in asdict(found.recipe).items() if v is not None],
            "active": _projected(found.active),
            "before it": found.previous and _projected(found.previous),
            "index": [
                f"projection {i.projection}: {i.kind or i.index_type}, "
                + ("not built" if i.bytes is None else f"{i.bytes / 1e6:,.1f} MB, recall ")
                + ("" if i.bytes is None else "not measured" if i.recall is None else f"{i.recall}")
                for i in found.indexes
            ],
            "map": [_mapped(one) for one in found.maps],
            "metadata": [f"{key.key}: {counted(key.n_images, 'image')}" for key in found.keys],
            "view": [f"{column.name} {column.type}" for column in found.columns],
            "owner": found.owner,
            "granted": [f"{grant.role}: {', '.join(grant.privileges)}" for grant in found.grants],
        }
    )


def _projected(projection: "Projected") -> str:
    made = f", of {projection.n_samples:,} samples" if projection.n_samples else ""
    return f"projection {projection.id}: {projection.kind}, {projection.dim} dimensions{made}"


def _mapped(found: "CollectionMap") -> str:
    after = f", {found.n_without:,} came after it: map again" if found.n_without else ""
    return (
        f"projection {found.projection}: {found.method}, {counted(found.n_placed, 'image')}, "
        f"{moment(found.made_at)}{after}"
    )


@app.command()
def drop(
    name: Annotated[str, typer.Argument(help="The collection to drop.")],
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    db: options.Db = None,
) -> None:
    """Drop a collection with its images and embeddings; files and raw descriptors stay."""
    with options.open_all(db) as database:
        found = database.collection(name)
        n_images = next(c.n_images for c in database.collections() if c.name == found)
        if dry_run:
            print(f"would drop {name} with {counted(n_images, 'image')}")
            return
        confirm(f"Drop the collection {name} with {counted(n_images, 'image')}?", yes)
        database.drop(name)
    print(f"dropped {name}")


def extractors(json: options.Json = False, db: options.Db = None) -> None:
    """List the stored extractors and the presets."""
    from spocdb.features.backbones import presets

    with options.open_database(db) as database:
        rows = database.extractors()
    known = presets()
    if json:
        print_json({"stored": rows, "presets": [preset.as_dict() for preset in known]})
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
            [p.name, p.channels(p.layer), p.size, p.pooling, _rounded(p.sigma), "preset", "", ""]
            for p in known
        ],
    )


def _rounded(sigma: float | None) -> str:
    return "none" if sigma is None else f"{sigma:.3f}"
