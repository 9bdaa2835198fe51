"""Other runtimes for a network on a CPU, if installed: OpenVINO, ONNX Runtime.

Neither comes with an extra of spocdb: `pip install openvino onnx onnxruntime` before
`python -m benchmarks layouts`.
"""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spocdb.features.trunks import Trunk

Work = Callable[[], object]


class Pooled(nn.Module):
    """A network and the sum of its map: images (N, 3, H, W) -> (N, C)."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.trunk(images).sum(dim=(2, 3))
        return pooled


def installed(trunk: Trunk, images: Tensor) -> Mapping[str, Work]:
    """Return by name functions that compute `images` (N, 3, H, W) with the installed runtimes."""
    works: dict[str, Work] = {}
    for name, make in (("OpenVINO, bfloat16", _openvino), ("ONNX Runtime, float32", _onnx_runtime)):
        # Runtimes that are missing or cannot load the network are left out.
        with suppress(ImportError, RuntimeError):
            works[name] = make(Pooled(trunk).eval(), images)
    return works


def _openvino(network: nn.Module, images: Tensor) -> Work:
    import openvino

    model = openvino.convert_model(network, example_input=images[:1], input=[1, *images.shape[1:]])
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled)
    each = [image[None].contiguous().numpy() for image in images]

    def work() -> None:
        for image in each:
            queue.start_async(image)
        queue.wait_all()

    return work


def _onnx_runtime(network: nn.Module, images: Tensor) -> Work:
    import onnxruntime

    # It has no bfloat16 on a CPU; by default its threads share an image.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        # torch's built-in exporter; the newer one needs another package.
        torch.onnx.export(network, (images[:1],), file, dynamo=False)
        # Threads that spin after an image would slow down the next layout that is measured.
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file.read_bytes(), options)
    (name,) = [given.name for given in session.get_inputs()]
    each: list[Any] = [{name: image[None].contiguous().numpy()} for image in images]
    return lambda: [session.run(None, one) for one in each]
