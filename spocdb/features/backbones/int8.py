"""Networks rounded to 8-bit integers, in files that `spocdb quantize` makes: `int8:FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.errors import WeightsNotFound
from spocdb.features.declarations import Backbone, Family

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spocdb.records import Recipe

PREFIX = "int8"


def look(family: Family, name: str, file: Path | None, size: int | None) -> Backbone:
    """Read a file's layers and its recipe; runs nothing."""
    from spocdb.features.integer_files import load

    if file is None:
        raise WeightsNotFound(
            "int8 needs a file: make one with `db.quantize(...)`, and give it with "
            "`extractor='int8:FILE'`"
        )
    stack = load(file)
    return family.made(PREFIX, stack.layer, stack.channels, **stack.preset)


class Runtime:
    """oneDNN's integers where a CPU has them, the same numbers in float32 elsewhere."""

    def load(self, recipe: "Recipe", weights: Path) -> "nn.Module":
        """Load the file."""
        import torch

        from spocdb.features.integer_files import load
        from spocdb.features.integers import Integers

        return Integers(load(weights), recipe.relu, torch.device("cpu"))

    def engine(
        self, trunk: "nn.Module", dtype: "torch.dtype", device: "torch.device"
    ) -> "nn.Module":
        """Return the network on the device."""
        from spocdb.features import foreign
        from spocdb.features.integers import Integers

        foreign.refuse_bfloat16(PREFIX, dtype)
        assert isinstance(trunk, Integers)
        return trunk if device.type == "cpu" else Integers(trunk.stack, trunk.relu, device)


FAMILIES = (Family(prefix=PREFIX, of_files=True, look=look, runtime=Runtime(), bfloat16=False),)
