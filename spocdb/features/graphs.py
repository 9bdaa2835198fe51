"""CUDA graphs: record a network's kernels for a batch shape, then replay them without Python.

Without a graph, a GPU finishes a small network's layer before Python has launched the next.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import torch
from torch import Tensor

# A graph holds its memory, so only shapes seen more than twice get one: full batches, not the last.
MOST_GRAPHS, SEEN_BEFORE = 2, 2
N_WARM_UPS = 3

Compute = Callable[[Tensor], Tensor]
# Held while a graph is recorded: another thread's device-wide synchronisation would break it.
recording = Lock()


class Graphs:
    """A function of batches in one CUDA stream; frequent shapes are recorded and replayed."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._seen: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, Compute] = {}
        self._can_record = True

    def __call__(self, batch: Tensor) -> Tensor:
        if graph := self._graphs.get(batch.shape):
            return graph(batch)
        self._seen[batch.shape] += 1
        is_common = self._seen[batch.shape] > SEEN_BEFORE
        if is_common and self._can_record and len(self._graphs) < MOST_GRAPHS:
            self._try_to_record(batch)
        return self._compute(batch)

    def _try_to_record(self, batch: Tensor) -> None:
        try:
            self._graphs[batch.shape] = _record(self._compute, batch)
        # Memory ran out, or an operation cannot be recorded: compute without graphs.
        except RuntimeError:
            self._can_record = False


def _record(compute: Compute, batch: Tensor) -> Compute:
    # A graph stores the addresses of its tensors, so each batch is copied into this one.
    static = batch.clone()
    stream = torch.cuda.current_stream(batch.device)
    for _ in range(N_WARM_UPS):
        compute(static)
    stream.synchronize()
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    # Other threads may use their own streams during the recording.
    mode = "thread_local"
    try:
        with recording, torch.cuda.graph(graph, pool, stream, capture_error_mode=mode):
            output = compute(static)
    except RuntimeError:
        # Without this the allocator would stay in recording mode.
        with suppress(Exception):
            torch._C._cuda_endAllocateToPool(batch.device.index, pool)
        raise

    def replay(batch: Tensor) -> Tensor:
        static.copy_(batch)
        graph.replay()
        return output.clone()

    return replay
