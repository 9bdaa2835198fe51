"""spocdb map, spocdb export: a collection in two dimensions, and as a table for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import counted, print_json, talk
from .running import interruptible

Projection = Annotated[
    int | None, typer.Option(min=1, help="One that the collection keeps; the active one.")
]


def map_(
    collection: Annotated[
        str | None, typer.Argument(help="The collection; without it the only one, or else photos.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="auto|umap|components",
            help="umap, the projection's first two components, or umap if it can be used.",
        ),
    ] = "auto",
    neighbours: Annotated[
        int, typer.Option(help="How many nearest images of each umap keeps near it.")
    ] = 15,
    min_distance: Annotated[
        float, typer.Option(help="How close umap may put two images, 0 to 1.")
    ] = 0.1,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same map, computed by one core.")
    ] = None,
    projection: Projection = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Lay out a collection in two dimensions, for the page's map and `spocdb export`.

    Similar images come near each other. umap needs the extra `spocdb[map]`.
    """
    with options.open_database(db) as database, interruptible("no map was stored"):
        made = database.map(
            collection,
            method=method,  # type: ignore[arg-type]  # the library checks it
            neighbours=neighbours,
            min_distance=min_distance,
            seed=seed,
            projection=projection,
        )
    if json:
        print_json(made)
        return
    print(
        f"{made.collection}: {counted(made.n_placed, 'image')} mapped by {made.method}, "
        f"projection {made.projection}"
    )
    if made.n_without:
        talk(f"{counted(made.n_without, 'image')} came meanwhile: run `spocdb map` again")


def export(
    file: Annotated[Path, typer.Argument(help="Where to write: .parquet.")],
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also write each image's embedding.")
    ] = False,
    projection: Projection = None,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Write a collection to a Parquet file: id, path, size, metadata, and where it is on the map.

    Needs the extra `spocdb[map]`.
    """
    with options.open_database(db) as database, interruptible("no file was written"):
        n_rows = database.export(
            file, collection=collection, embeddings=embeddings, projection=projection
        )
    talk(f"wrote {file}: {counted(n_rows, 'image')}")
