"""CUDA graphs: what a network did for a shape of batch, replayed without Python between its layers.

A small network is done with a layer before Python has launched the next.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import torch
from torch import Tensor

# A graph keeps its memory: full batches are worth one, what is left at the end is not.
MOST_GRAPHS, SEEN_BEFORE = 2, 2
N_WARM_UPS = 3

Compute = Callable[[Tensor], Tensor]
# No other thread may wait for a whole device while one is recorded.
recording = Lock()


class Graphs:
    """A function of batches on a CUDA device, in one stream; shapes met often are replayed."""

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
        # The memory may not suffice, or a library may do what cannot be recorded: it works without.
        except RuntimeError:
            self._can_record = False


def _record(compute: Compute, batch: Tensor) -> Compute:
    # Recording notes addresses: of its input, of its output, and of all between.
    static = batch.clone()
    stream = torch.cuda.current_stream(batch.device)
    for _ in range(N_WARM_UPS):
        compute(static)
    stream.synchronize()
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    # Other threads go on with streams of their own meanwhile.
    mode = "thread_local"
    try:
        with recording, torch.cuda.graph(graph, pool, stream, capture_error_mode=mode):
            output = compute(static)
    except RuntimeError:
        # Else the allocator believes for good that it is being recorded.
        with suppress(Exception):
            torch._C._cuda_endAllocateToPool(batch.device.index, pool)
        raise

    def replay(batch: Tensor) -> Tensor:
        static.copy_(batch)
        graph.replay()
        return output.clone()

    return replay
