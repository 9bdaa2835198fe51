"""Lanes: each computes one batch at a time on a CPU or another device.

A CUDA device has two lanes, so that one copies and decodes while the other computes. A CPU has one
for batches and one for single images, since a batch takes it seconds.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue

import torch
from torch import Tensor

from spocdb.errors import ConfigError
from spocdb.features.devices import is_out_of_memory
from spocdb.features.graphs import Graphs, recording
from spocdb.features.network import Network

LARGEST_BATCH = 1024
# On a CPU; limits the memory of feature maps.
MOST_IMAGES_AT_ONCE = 8
# A core computes up to four small images together. That saves layer calls, and their feature maps
# still fit into the core's cache.
MOST_A_CORE, PIXELS_A_CORE = 4, 4 * 256 * 256
LANES_OF_A_GPU = 2

# uint8 (N, H, W, 3) -> float32 (N, C) of length one.
Compute = Callable[[Tensor], Tensor]
# Receives the number of images computed since its last call; called in any thread.
OnDone = Callable[[int], None]


def uncounted(n: int) -> None:
    """Count nothing."""


class Lane:
    """A device, used by one thread at a time."""

    network: Network

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # The largest batch that has not yet run out of memory.
        self._fits = LARGEST_BATCH

    def use(self, network: Network) -> None:
        """Compute with this network from now on; it must be on the lane's device."""
        self.network = network
        self._compute = self._prepared(network)

    def extract(self, batch: Tensor, on_done: OnDone = uncounted) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, C) of length one, on the CPU.

        When memory runs out, this batch and later ones are halved.

        Raises:
            ConfigError: The device has no memory for one image.
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
                    f"{self.device} has no memory for one image: use `device='cpu'` or a smaller "
                    "`size=...`"
                )
        return torch.cat(parts)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run the block's work in this lane: in inference mode, and in its stream if it has one."""
        with torch.inference_mode():
            yield

    def _prepared(self, network: Network) -> Compute:
        return network

    def _tried(self, batch: Tensor) -> Tensor | None:
        """Compute a batch, or return None if memory runs out.

        The caller retries after the handler has ended, because the exception keeps memory alive.
        """
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
    """All cores of a CPU, each with its own images: cores that share an image wait."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        n_cores = torch.get_num_threads()
        n = min(n_cores, MOST_IMAGES_AT_ONCE)
        # torch's number of threads is set per thread.
        self._pool = ThreadPoolExecutor(n, "network", torch.set_num_threads, (n_cores // n,))

    def extract(self, batch: Tensor, on_done: OnDone = uncounted) -> Tensor:
        if len(batch) == 1:
            return super().extract(batch, on_done)  # by all cores
        height, width = batch.shape[1:3]
        n_at_once = max(1, min(PIXELS_A_CORE // (height * width), MOST_A_CORE))
        # Split evenly, so that all cores finish at about the same time.
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
        # Another stream copied the weights: wait until it has finished.
        with recording:
            torch.cuda.synchronize(self.device)
        return Graphs(network) if network.can_be_recorded else network

    def _run(self, batch: Tensor) -> Tensor:
        with self.working():
            # A copy from pinned memory overlaps with the other lane's computation.
            there = (
                batch if batch.is_cuda else batch.pin_memory().to(self.device, non_blocking=True)
            )
            return self._compute(there).cpu()


class Lanes:
    """Lanes that are lent, each to one thread at a time, in the order in which they ask."""

    def __init__(self, lanes: list[Lane]) -> None:
        self.all = lanes
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    @contextmanager
    def lent(self) -> Iterator[Lane]:
        """Lend a lane for the block; wait until one is free."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)


def open_lanes(device: torch.device, *, steady: bool) -> list[Lane]:
    """Return a device's lanes, without a network. `steady`: all images have the same size."""
    if device.type == "cpu":
        return [CpuLane(device)]
    if device.type != "cuda":
        return [Lane(device)]
    if steady:
        # cuDNN's search for the fastest convolution pays off when batch shapes repeat.
        torch.backends.cudnn.benchmark = True
    return [CudaLane(device) for _ in range(LANES_OF_A_GPU)]
