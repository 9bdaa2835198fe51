"""Random initial values that are the same in every run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator on the CPU for the block; restore its state afterwards.

    For modules that are given no generator: they draw their initial values from torch's own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
