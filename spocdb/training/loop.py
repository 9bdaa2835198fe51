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
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError
from spocdb.features.devices import find_devices, is_out_of_memory
from spocdb.features.network import Network
from spocdb.features.precision import first_dtype
from spocdb.training import checkpoints
from spocdb.training.checkpoints import Epoch, Run
from spocdb.training.feeding import paced
from spocdb.training.schedule import Schedule, best, rate

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")

MOST_GRADIENT = 1.0
# The learning rate of a head, which begins at random, in units of the network's; as in SoftTriple
# (Qian et al. 2019).
HEAD_RATE = 100.0


class Task(Protocol[Batch]):
    """A training task: its batches, their loss, and the validation."""

    def begin(self, network: Network, epoch: int) -> None:
        """Prepare an epoch; the first is 1."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the `n_batches` batches of an epoch."""

    @property
    def head(self) -> nn.Module:
        """Return what is learned beside the network, and not kept."""

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

    Parameters of the network that require no gradient stay as they are.

    Raises:
        ConfigError: The checkpoint has another fingerprint, the loss is not finite, or the device
            has not enough memory.
    """
    schedule.check()
    device = find_devices(schedule.device)[0]
    dtype = first_dtype(schedule.precision, network.recipe, device)
    network.to(device)
    head = task.head.to(device)
    run = Run(network, head, _optimiser(network, head, schedule))
    with _deterministic(), _enough_memory(device):
        if checkpoints.load(checkpoint, fingerprint, run):
            log.info("going on after epoch %s, from %s", run.history[-1].number, checkpoint)
        else:
            _note(run, _validated(run, task, 0, None, time.monotonic(), dtype), schedule)
            checkpoints.save(checkpoint, fingerprint, run)
        while not schedule.is_over(run.history):
            began, number = time.monotonic(), run.history[-1].number + 1
            loss = _epoch(run, task, schedule, number, dtype)
            _note(run, _validated(run, task, number, loss, began, dtype), schedule)
            checkpoints.save(checkpoint, fingerprint, run)
    if run.best is not None:
        kept = schedule.kept(run.history)
        log.info("kept: the weights after epoch %s, mAP %.4f", kept.number, kept.mAP)
        network.load_state_dict(run.best)
    return run.history


def _optimiser(network: Network, head: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Return AdamW for the network's parameters that require a gradient, and for the head's."""
    learned = [p for p in network.parameters() if p.requires_grad]
    peak = schedule.learning_rate
    groups = [
        {"params": learned, "peak": peak, "weight_decay": schedule.weight_decay},
        # The proxies of a loss are normalised, so that a decay of their length would do nothing.
        {"params": [*head.parameters()], "peak": peak * HEAD_RATE, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], peak)


def _note(run: Run, epoch: Epoch, schedule: Schedule) -> None:
    """Add an epoch to the history; copy the weights if they may be the ones to keep."""
    run.history.append(epoch)
    if schedule.patience is not None and best(run.history) is epoch:
        run.best = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}


def _epoch(run: Run, task: Task[Any], schedule: Schedule, number: int, dtype: torch.dtype) -> float:
    task.begin(run.network, number)
    total, tell = 0.0, paced()
    n_before, n_all = (number - 1) * task.n_batches, schedule.epochs * task.n_batches
    n_done = 0
    for batch in task.batches(number):
        for group in run.optimiser.param_groups:
            group["lr"] = group["peak"] * rate(n_before + n_done, n_all)
        total += _step(run, task, batch, dtype)
        n_done += 1
        tell(f"epoch {number}: {n_done} of {task.n_batches} batches, loss {total / n_done:.4f}")
    return total / max(n_done, 1)


def _step(run: Run, task: Task[Any], batch: Any, dtype: torch.dtype) -> float:
    run.optimiser.zero_grad()
    loss = task.loss(run.network, batch, dtype)
    loss.backward()  # type: ignore[no-untyped-call]
    # Separately: the gradient of a head may be much longer than the network's.
    lengths = [
        nn.utils.clip_grad_norm_(group["params"], MOST_GRADIENT).item()
        for group in run.optimiser.param_groups
    ]
    if not math.isfinite(loss.item() + sum(lengths)):
        raise ConfigError(
            "the loss or its gradient is not finite: try a lower `learning_rate=...`, "
            "with another `out=...` to begin again"
        )
    run.optimiser.step()
    return loss.item()


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
