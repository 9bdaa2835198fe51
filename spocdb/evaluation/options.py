"""What an evaluation is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    recipe: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    precision: "Precision" = "auto"
