"""Checkpoints: the state from which an interrupted training resumes with the same result."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError
from spocdb.features.network import Network
from spocdb.images.regular import regular


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch's results: the mean loss, and the held-out images' mAP after it.

    Number 0 is the network before training, without a loss.
    """

    number: int
    loss: float | None
    mAP: float  # the usual spelling
    seconds: float


@dataclass(slots=True)
class Run:
    """The state of a training in progress.

    `head` is what is learned beside the network, `best` the weights of the best epoch so far if
    those may be kept in the end.
    """

    network: Network
    head: nn.Module
    optimiser: torch.optim.Optimizer
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None


def save(file: Path, fingerprint: str, run: Run) -> None:
    """Write a checkpoint atomically.

    Raises:
        ConfigError: The file cannot be written.
    """
    fresh = file.with_name(f"{file.name}.new")
    state = {
        "fingerprint": fingerprint,
        "network": run.network.state_dict(),
        "head": run.head.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "history": [asdict(epoch) for epoch in run.history],
        "best": run.best,
    }
    try:
        torch.save(state, fresh)
        fresh.replace(file)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"cannot write {file}: {error}") from error


def read(file: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return a checkpoint's content, or None if the file does not exist.

    Raises:
        ConfigError: The checkpoint is broken, or belongs to another run.
    """
    try:
        # `regular` refuses named pipes, which would block, and devices, which never end.
        with open(file, "rb", opener=regular) as stream:
            state: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # the unpickler can raise any exception on a broken file
        raise ConfigError(f"{file} is no checkpoint of a training: delete it") from error
    if found != fingerprint:
        raise ConfigError(
            f"{file} is the checkpoint of a training on other images or with other options: "
            "give those, another `out=...`, or delete it to begin again"
        )
    return state


def load(file: Path, fingerprint: str, run: Run) -> bool:
    """Load a checkpoint into a run; return whether there was one.

    Raises:
        ConfigError: The checkpoint is broken, or belongs to another run.
    """
    state = read(file, fingerprint)
    if state is None:
        return False
    run.network.load_state_dict(state["network"])
    run.head.load_state_dict(state["head"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.history[:] = [Epoch(**epoch) for epoch in state["history"]]
    run.best = state["best"]
    return True
