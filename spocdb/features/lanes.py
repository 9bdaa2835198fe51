"""Lanes: what takes one batch after the other through a network, on a CPU or another device.

A CUDA device has two, so that one copies and decodes while the other computes.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from spocdb.errors import ConfigError
from spocdb.features.devices import is_out_of_memory
from spocdb.features.graphs import Graphs, recording
from spocdb.features.network import Network

LARGEST_BATCH = 1024
# On a CPU: the feature maps of each take memory.
MOST_IMAGES_AT_ONCE = 8
# A core computes small images some at a time: layers begin less often, and the maps of so few still
# fit into its cache.
MOST_A_CORE, PIXELS_A_CORE = 4, 4 * 256 * 256
LANES_OF_A_GPU = 2

# uint8 (N, H, W, 3) -> float32 (N, C) of length one.
Compute = Callable[[Tensor], Tensor]
# Takes the number of images that are computed since it was called last; in any thread.
OnDone = Callable[[int], None]


def uncounted(n: int) -> None:
    """Count nothing."""


class Lane:
    """A device, used by one thread at a time."""

    network: Network

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # The largest batch that its memory is not known to be too small for.
        self._fits = LARGEST_BATCH

    def use(self, network: Network) -> None:
        """Let this network, which lies on the device, compute from now on."""
        self.network = network
        self._compute = self._prepared(network)

    def extract(self, batch: Tensor, on_done: OnDone = uncounted) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, C) of length one, on the CPU.

        A batch that the memory does not suffice for is halved, and so are those after it. Raises
        ConfigError if it does not suffice for one image.
        """
        parts, n_done = [], 0
        while n_done < len(batch):
            part = batch[n_done : n_done + self._fits]
            done = self._tried(part)
            if done is not None:
                parts.append(done)
                n_done += len(part)
                on_done(len(part))
            elif len(part) > 1:
                self._fits = len(part) // 2
            else:
                raise ConfigError(
                    f"{self.device} has no memory for one image: `device='cpu'`, or a smaller "
                    "`size=...`"
                )
        return torch.cat(parts)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let the block's work on the device be this lane's."""
        with torch.inference_mode():
            yield

    def _prepared(self, network: Network) -> Compute:
        return network

    def _tried(self, batch: Tensor) -> Tensor | None:
        """Return None if there is no memory for it; outside of the handler it is free again."""
        try:
            return self._run(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _run(self, batch: Tensor) -> Tensor:
        with self.working():
            return self._compute(batch.to(self.device)).cpu()


class CpuLane(Lane):
    """All cores of a CPU, each with images of its own: cores that share one wait for each other."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        n_cores = torch.get_num_threads()
        n = min(n_cores, MOST_IMAGES_AT_ONCE)
        # The number of threads is each thread's own.
        self._pool = ThreadPoolExecutor(n, "network", torch.set_num_threads, (n_cores // n,))

    def extract(self, batch: Tensor, on_done: OnDone = uncounted) -> Tensor:
        if len(batch) == 1:
            return super().extract(batch, on_done)  # by all cores
        height, width = batch.shape[1:3]
        n_at_once = max(1, min(PIXELS_A_CORE // (height * width), MOST_A_CORE))
        # Evenly, so that no core is done long before the others.
        n_at_once = min(n_at_once, -(-len(batch) // MOST_IMAGES_AT_ONCE))
        extract = partial(super().extract, on_done=on_done)
        return torch.cat(list(self._pool.map(extract, torch.split(batch, n_at_once))))


class CudaLane(Lane):
    """A stream of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextmanager
    def working(self) -> Iterator[None]:
        with super().working(), torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            yield

    def _prepared(self, network: Network) -> Compute:
        # What copied the weights is another stream.
        with recording:
            torch.cuda.synchronize(self.device)
        # A codebook's encoding goes through the CPU, which cannot be recorded.
        return network if network.codebook else Graphs(network)

    def _run(self, batch: Tensor) -> Tensor:
        with self.working():
            # From pinned memory the copy runs beside what the other lane computes.
            there = (
                batch if batch.is_cuda else batch.pin_memory().to(self.device, non_blocking=True)
            )
            return self._compute(there).cpu()


def open_lanes(device: torch.device, *, steady: bool) -> list[Lane]:
    """Return the lanes of a device; none has a network yet. `steady` images are of one size."""
    if device.type == "cpu":
        return [CpuLane(device)]
    if device.type != "cuda":
        return [Lane(device)]
    if steady:
        # Trying which convolution is fastest for the shape of a batch is soon made up for.
        torch.backends.cudnn.benchmark = True
    return [CudaLane(device) for _ in range(LANES_OF_A_GPU)]
