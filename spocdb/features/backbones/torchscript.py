"""Networks in TorchScript files: `torchscript:FILE`.

Loading such a file runs the program in it, in torch's interpreter. So a file is loaded only if the
user names it, or has named it before: a recipe finds a file by its sha256.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.declarations import Backbone, Family

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spocdb.records import Recipe

PREFIX = "torchscript"


def look(family: Family, name: str, file: Path | None, size: int | None) -> Backbone:
    """Run a file's network to find out what it gives."""
    from spocdb.features import foreign

    if file is None:
        raise WeightsNotFound(
            "torchscript needs a file: give it with `extractor='torchscript:FILE'`"
        )
    found, size = foreign.look(f"the TorchScript file {file}", _loaded(file), size)
    return family.made(
        PREFIX, "forward", found.channels, found.sizes, found.leading_tokens, size=size
    )


class Runtime:
    """torch's interpreter of TorchScript, in the precision of the file."""

    def load(self, recipe: "Recipe", weights: Path) -> "nn.Module":
        """Load the file."""
        from spocdb.features.foreign import Foreign

        return Foreign(f"the TorchScript file {weights}", _loaded(weights), recipe)

    def engine(
        self, trunk: "nn.Module", dtype: "torch.dtype", device: "torch.device"
    ) -> "nn.Module":
        """Return the network on the device, as it is."""
        from spocdb.features import foreign

        foreign.refuse_bfloat16(PREFIX, dtype)
        return foreign.on_device(trunk, device)


def _loaded(file: Path) -> "nn.Module":
    import torch

    from spocdb.features.weights import sha256_of

    sha256_of(file)  # refuses what is missing, or no file, in one line
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated, but networks are still given away in it.
            warnings.simplefilter("ignore")
            module: nn.Module = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    # The reader of a broken or hostile file can raise any exception.
    except Exception as error:
        raise ConfigError(
            f"{file} is broken, or no TorchScript file: save one with torch.jit.save(module, FILE)"
        ) from error
    return module.eval()


FAMILIES = (Family(prefix=PREFIX, of_files=True, look=look, runtime=Runtime(), bfloat16=False),)
