"""spocdb quantize."""

from pathlib import Path
from typing import Annotated

import typer

from spocdb.recipe_options import OF_THE_MAP, RecipeOptions

from . import options, presets
from .output import counted, quiet_libraries, talk


@options.with_recipe(*OF_THE_MAP)
def quantize(
    *,
    folder: Annotated[Path, typer.Argument(help="Pictures to choose the steps of integers by.")],
    file: Annotated[Path, typer.Argument(help="Where to write it: .safetensors.")],
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    recipe: RecipeOptions,
    db: options.Db = None,
) -> None:
    """Round a network to 8-bit integers: two to five times as fast on CPUs with VNNI."""
    with options.open_database(db) as database, quiet_libraries():
        n_used = database.quantize(folder, file, extractor=extractor, weights=weights, **recipe)
    talk(f"wrote {file}, rounded by {counted(n_used, 'picture')}: use --extractor int8:{file}")
