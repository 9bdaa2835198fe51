"""Options of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.recipe_options import RecipeOptions

if TYPE_CHECKING:
    from spocdb.features.precision import Precision


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an evaluation; `extractor`, `weights`, `codebook`, `recipe` as for an ingest.

    Projections and codebooks are fitted on the images `train`, or on the gallery if it is None.
    `projections` are numbers of the database's own, measured too if they are of the extractor.
    """

    train: Sequence[Path] | None = None
    dims: Sequence[int] = (256,)
    extractor: str | None = None
    weights: Path | None = None
    codebook: Path | None = None
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    device: str = "auto"
    precision: "Precision" = "auto"
    projections: Sequence[int] = ()
