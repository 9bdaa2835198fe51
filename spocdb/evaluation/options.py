"""What an evaluation is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.recipe_options import RecipeOptions

if TYPE_CHECKING:
    from spocdb.features.extractor import Precision


@dataclass(frozen=True, slots=True)
class Options:
    """What an evaluation is given; `extractor`, `weights`, `codebook`, `recipe` as for an ingest.

    `train` are the images that projections and codebooks are fitted on, None for the gallery's own.
    """

    train: Sequence[Path] | None = None
    dims: Sequence[int] = (256,)
    extractor: str | None = None
    weights: Path | None = None
    codebook: Path | None = None
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    device: str = "auto"
    precision: "Precision" = "auto"
