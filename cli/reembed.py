"""spocdb reembed."""

from typing import Annotated

import typer

from spocdb.recipe_options import RecipeOptions

from . import options
from .output import quiet_libraries
from .running import display


@options.with_recipe()
def reembed(
    *,
    extractor: Annotated[
        str,
        typer.Argument(metavar="EXTRACTOR", help="A preset, or one of `spocdb extractors`."),
    ],
    collection: options.Collection = None,
    weights: options.Weights = None,
    codebook: options.Codebook = None,
    dim: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Dimensions of the embedding.", show_default="as many as now"
        ),
    ] = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    db: options.Db = None,
) -> None:
    """Move a collection to another extractor; searches and ingests continue meanwhile.

    Every image is read again, then a projection like the active one is fitted and activated;
    `spocdb pca rollback` undoes it. After an interruption the same command continues.
    """
    with options.open_database(db) as database, quiet_libraries():
        name = database.collection(collection)
        n_images = next(c.n_images for c in database.collections() if c.name == name)
        with display(lambda: n_images) as shown:
            number = database.reembed(
                extractor,
                name,
                weights=weights,
                codebook=codebook,
                dim=dim,
                device=device,
                precision=precision,  # type: ignore[arg-type]  # the library checks it
                on_progress=shown.update,
                **recipe,
            )
    print(f"{name}: projection {number} is active")
