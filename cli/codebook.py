"""spocdb codebook."""

from pathlib import Path
from typing import Annotated

import typer

from spocdb.recipe_options import OF_THE_MAP, RecipeOptions

from . import options, presets
from .output import counted, quiet_libraries, talk

app = typer.Typer(
    help="Codebooks, for pooling by Fisher vectors or triangulation.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@options.with_recipe(*OF_THE_MAP)
def fit(
    *,
    folder: Annotated[Path, typer.Argument(help="Images to learn from, other than the gallery.")],
    file: Annotated[Path, typer.Argument(help="Where to write it: .safetensors.")],
    kind: Annotated[
        str, typer.Option(metavar="fisher|triangulation", help="The pooling that it is for.")
    ] = "fisher",
    k: Annotated[int, typer.Option("-k", min=1, help="Gaussians, or centroids.")] = 16,
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    db: options.Db = None,
) -> None:
    """Learn a codebook from a folder of images, for `spocdb ingest --pooling --codebook`."""
    with options.open_database(db) as database, quiet_libraries():
        n_used = database.learn_codebook(
            folder,
            file,
            kind,  # type: ignore[arg-type]  # the library checks it
            k,
            extractor=extractor,
            weights=weights,
            device=device,
            precision=precision,  # type: ignore[arg-type]
            **recipe,
        )
    talk(f"wrote {file}, learned from {counted(n_used, 'image')}")
