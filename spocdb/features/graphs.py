"""CUDA graphs: what a network did for a shape of batch, replayed without Python between its layers.

A small network is done with a layer before Python has launched the next.
"""

from collections import Counter
from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

# A graph keeps its memory: full batches are worth one, what is left at the end is not.
MOST_GRAPHS, SEEN_BEFORE = 2, 2
N_WARM_UPS = 3

Compute = Callable[[Tensor], Tensor]
# Devices are asked to wait while one is recorded: one at a time.
_recording = Lock()


class Graphs:
    """A function of batches on a CUDA device, in one stream; shapes met often are replayed."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._seen: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, Compute] = {}

    def __call__(self, batch: Tensor) -> Tensor:
        if graph := self._graphs.get(batch.shape):
            return graph(batch)
        self._seen[batch.shape] += 1
        if self._seen[batch.shape] > SEEN_BEFORE and len(self._graphs) < MOST_GRAPHS:
            self._graphs[batch.shape] = self._recorded(batch)
        return self._compute(batch)

    def _recorded(self, batch: Tensor) -> Compute:
        """Return what replays the function, or the function itself where it cannot be recorded."""
        try:
            return _record(self._compute, batch)
        # Such as a codebook's encoding, which goes through the CPU; the memory may not suffice.
        except RuntimeError:
            return self._compute


def _record(compute: Compute, batch: Tensor) -> Compute:
    # Recording notes addresses: of its input, of its output, and of all between.
    static = batch.clone()
    stream = torch.cuda.current_stream(batch.device)
    for _ in range(N_WARM_UPS):
        compute(static)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    # Other threads go on with streams of their own meanwhile.
    with _recording, torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        output = compute(static)

    def replay(batch: Tensor) -> Tensor:
        static.copy_(batch)
        graph.replay()
        return output.clone()

    return replay
