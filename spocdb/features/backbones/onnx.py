"""Networks in ONNX files, computed by ONNX Runtime: `onnx:FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.errors import WeightsNotFound
from spocdb.features.declarations import Backbone, Family

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spocdb.records import Recipe

PREFIX = "onnx"


def look(family: Family, name: str, file: Path | None, size: int | None) -> Backbone:
    """Read what a graph takes, and run it to find out what it gives."""
    from spocdb.features import foreign
    from spocdb.features.graph_files import Graph

    if file is None:
        raise WeightsNotFound("onnx needs a file: give it with `extractor='onnx:FILE'`")
    graph = Graph(file)
    found, size = foreign.look(f"the ONNX file {file}", graph, size, graph.side)
    return family.made(
        PREFIX, graph.output, found.channels, found.sizes, found.leading_tokens, size=size
    )


class Runtime:
    """ONNX Runtime, in the precision of the file: on the CPU, or on CUDA where it can."""

    def load(self, recipe: "Recipe", weights: Path) -> "nn.Module":
        """Load the file."""
        from spocdb.features.foreign import Foreign
        from spocdb.features.graph_files import Graph

        return Foreign(f"the ONNX file {weights}", Graph(weights), recipe)

    def engine(
        self, trunk: "nn.Module", dtype: "torch.dtype", device: "torch.device"
    ) -> "nn.Module":
        """Return the network with sessions on the device."""
        from spocdb.features import foreign
        from spocdb.features.graph_files import Graph

        foreign.refuse_bfloat16(PREFIX, dtype)
        assert isinstance(trunk, foreign.Foreign) and isinstance(trunk.run, Graph)
        return trunk.computed_by(trunk.run.on(device))


FAMILIES = (
    Family(
        prefix=PREFIX, of_files=True, look=look, runtime=Runtime(), extra="onnx", bfloat16=False
    ),
)
