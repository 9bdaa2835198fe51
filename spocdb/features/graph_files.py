"""ONNX files in ONNX Runtime: a graph's input and output, and its sessions."""

import logging
import warnings
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.text import one_line

CPU = torch.device("cpu")
CUDA_PROVIDER = "CUDAExecutionProvider"
LONGEST_REASON = 200

log = logging.getLogger(__name__)


class Graph:
    """An ONNX graph on a device: normalised RGB (N, 3, H, W) -> its first output; thread-safe.

    `side` is its only input size, None if it takes several; `output` is the first output's name.

    Raises:
        ConfigError: The file is broken, has parts in other files, or takes no batch of RGB images.
    """

    def __init__(self, file: Path, device: torch.device = CPU) -> None:
        self.file = file
        self._graph, self._device = _read(file), device
        # By the threads that a session may use, see `_session`.
        self._sessions: dict[int, Any] = {}
        self._opening = Lock()
        session = self._session()
        self._input, self._batch, self.side = _input_of(session, file)
        self.output: str = session.get_outputs()[0].name

    def __call__(self, images: Tensor) -> Tensor:
        parts = torch.split(images, self._batch or len(images))
        return torch.cat([self._run(part) for part in parts])

    def on(self, device: torch.device) -> "Graph":
        """Return the graph on a device."""
        return self if device == self._device else Graph(self.file, device)

    def _run(self, images: Tensor) -> Tensor:
        n_missing = (self._batch or len(images)) - len(images)
        batch = functional.pad(images, (0, 0, 0, 0, 0, 0, 0, n_missing))
        pixels = np.ascontiguousarray(batch.cpu().numpy())
        (given,) = self._session().run([self.output], {self._input: pixels})
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiub":
            raise ConfigError(f"the output {self.output} of {self.file} is no tensor of numbers")
        result = torch.from_numpy(given).to(images.device)
        return result[: len(images)] if n_missing else result

    def _session(self) -> Any:
        """Return the session whose number of threads is that of the calling thread.

        A lane's threads compute an image each, on a core each; a single image has all cores.
        """
        n_threads = torch.get_num_threads()
        with self._opening:
            if n_threads not in self._sessions:
                self._sessions[n_threads] = self._opened(n_threads)
            return self._sessions[n_threads]

    def _opened(self, n_threads: int) -> Any:
        runtime = imported()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
        # Idle threads would otherwise keep their cores busy for a while.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what fails is raised
        try:
            # From memory, so that a graph with parts in other files fails: its sha256 would not
            # say what they hold.
            return runtime.InferenceSession(
                self._graph, options, providers=_providers(runtime, self._device)
            )
        # Its exceptions have no common base but Exception.
        except Exception as error:
            reason = one_line(" ".join(str(error).split()), LONGEST_REASON)
            raise ConfigError(
                f"{self.file} is broken, or no ONNX file that is whole in itself ({reason}): "
                "export it again as one file"
            ) from error


def imported() -> ModuleType:
    """Return ONNX Runtime.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "ONNX Runtime is not installed: run `pip install 'spocdb[onnx]'`"
        ) from error
    module: ModuleType = onnxruntime
    return module


def _providers(runtime: ModuleType, device: torch.device) -> list[Any]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    if device.type == "cuda" and CUDA_PROVIDER in runtime.get_available_providers():
        return [(CUDA_PROVIDER, {"device_id": device.index or 0}), "CPUExecutionProvider"]
    log.warning("this ONNX Runtime cannot use %s: onnx computes on the CPU", device)
    return ["CPUExecutionProvider"]


def _input_of(session: Any, file: Path) -> tuple[str, int | None, int | None]:
    """Return the name of a graph's input, its fixed batch and its fixed side, None if they vary."""
    inputs = session.get_inputs()
    (name, kind, shape) = (inputs[0].name, inputs[0].type, inputs[0].shape)
    # A dimension that varies has a name instead of a number.
    known = [side if isinstance(side, int) else None for side in shape]
    is_image = len(known) == 4 and known[1] in (3, None) and known[2] == known[3]
    if len(inputs) > 1 or kind != "tensor(float)" or not is_image:
        told = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise ConfigError(
            f"the ONNX file {file} takes {one_line(told, LONGEST_REASON)}: export it to take one "
            "input, float32 images (N, 3, H, W) that are squares"
        )
    return name, known[0], known[2]


def _read(file: Path) -> bytes:
    try:
        with open(file, "rb", opener=regular) as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError(f"cannot read the weights {file}: {error.strerror or error}") from error
