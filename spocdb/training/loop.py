"""The training loop, shared by all tasks; measures the time of epochs.

    begin an epoch -> batches -> loss -> step ... -> validate -> checkpoint -> next epoch

All randomness comes from the seed, the epoch and the image, so that a run resumed from its
checkpoint ends with the same weights as an uninterrupted one.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, InvalidValue
from spocdb.features.devices import find_devices, is_out_of_memory
from spocdb.features.network import Network
from spocdb.features.precision import Precision, check_precision, first_dtype
from spocdb.training import checkpoints
from spocdb.training.checkpoints import Epoch, Run
from spocdb.training.feeding import paced

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")

# Most steps of the learning rate's warm-up.
WARM_UP = 100
MOST_GRADIENT = 1.0
LARGEST_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Schedule:
    """A training's options.

    `learning_rate` is the maximum, reached after the warm-up; then it falls to zero along half a
    cosine. `weight_decay` is AdamW's (Loshchilov & Hutter 2019).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.02
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"

    def check(self) -> None:
        """Check all options.

        Raises:
            ConfigError: An option is out of range, or the machine has no such device.
        """
        for name in ("epochs", "batch_size", "learning_rate"):
            if not (0 < getattr(self, name) < math.inf):
                raise InvalidValue(name, getattr(self, name), "positive")
        if not 0 <= self.seed < LARGEST_SEED:
            raise InvalidValue("seed", self.seed, f"0 to {LARGEST_SEED - 1}")
        check_precision(self.precision)
        find_devices(self.device)


class Task(Protocol[Batch]):
    """A training task: its batches, their loss, and the validation."""

    def begin(self, network: Network, epoch: int) -> None:
        """Prepare an epoch; the first is 1."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the `n_batches` batches of an epoch."""

    @property
    def n_batches(self) -> int:
        """Return the number of batches per epoch."""

    def loss(self, network: Network, batch: Batch, dtype: torch.dtype) -> Tensor:
        """Return the loss of a batch."""

    def validate(self, network: Network, dtype: torch.dtype) -> float:
        """Return the mAP of the held-out images."""


def train(
    network: Network,
    task: Task[Any],
    schedule: Schedule,
    checkpoint: Path,
    fingerprint: str,
) -> list[Epoch]:
    """Train a network in place; resume from the checkpoint if it exists.

    Raises:
        ConfigError: The checkpoint has another fingerprint, the loss is not finite, or the device
            has not enough memory.
    """
    schedule.check()
    device = find_devices(schedule.device)[0]
    dtype = first_dtype(schedule.precision, network.recipe, device)
    network.to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    run = Run(network, optimiser)
    with _deterministic(), _enough_memory(device):
        if checkpoints.load(checkpoint, fingerprint, run):
            log.info("going on after epoch %s, from %s", run.history[-1].number, checkpoint)
        else:
            run.history.append(_validated(run, task, 0, None, time.monotonic(), dtype))
            checkpoints.save(checkpoint, fingerprint, run)
        for number in range(run.history[-1].number + 1, schedule.epochs + 1):
            began = time.monotonic()
            loss = _epoch(run, task, schedule, number, dtype)
            run.history.append(_validated(run, task, number, loss, began, dtype))
            checkpoints.save(checkpoint, fingerprint, run)
    return run.history


def _epoch(run: Run, task: Task[Any], schedule: Schedule, number: int, dtype: torch.dtype) -> float:
    task.begin(run.network, number)
    total, tell = 0.0, paced()
    n_before, n_all = (number - 1) * task.n_batches, schedule.epochs * task.n_batches
    n_done = 0
    for batch in task.batches(number):
        for group in run.optimiser.param_groups:
            group["lr"] = schedule.learning_rate * rate(n_before + n_done, n_all)
        total += _step(run, task, batch, dtype)
        n_done += 1
        tell(f"epoch {number}: {n_done} of {task.n_batches} batches, loss {total / n_done:.4f}")
    return total / max(n_done, 1)


def _step(run: Run, task: Task[Any], batch: Any, dtype: torch.dtype) -> float:
    run.optimiser.zero_grad()
    loss = task.loss(run.network, batch, dtype)
    loss.backward()  # type: ignore[no-untyped-call]
    length = nn.utils.clip_grad_norm_(run.network.parameters(), MOST_GRADIENT)
    if not math.isfinite(loss.item() + length.item()):
        raise ConfigError(
            "the loss or its gradient is not finite: try a lower `learning_rate=...`, "
            "with another `out=...` to begin again"
        )
    run.optimiser.step()
    return loss.item()


def rate(step: int, n_steps: int) -> float:
    """Return the learning rate's factor, 0 to 1: linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / min(WARM_UP, max(1, n_steps // 4)))
    return warm * (1 + math.cos(math.pi * step / n_steps)) / 2


def _validated(
    run: Run,
    task: Task[Any],
    number: int,
    loss: float | None,
    began: float,
    dtype: torch.dtype,
) -> Epoch:
    with torch.inference_mode():
        quality = task.validate(run.network, dtype)
    epoch = Epoch(number, loss, quality, time.monotonic() - began)
    told = "before" if loss is None else f"epoch {number}: loss {loss:.4f}"
    log.info("%s, held-out mAP %.4f, %.0f s", told, quality, epoch.seconds)
    return epoch


@contextmanager
def _enough_memory(device: torch.device) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"{device} has not enough memory: use a smaller `batch_size=...` or `size=...`, or "
            "another `device=...`"
        ) from error


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use deterministic cuDNN kernels for the block; restore the settings afterwards."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
