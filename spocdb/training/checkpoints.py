"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from spocdb.errors import ConfigError
from spocdb.features.network import Network
from spocdb.images.regular import regular


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch did: the mean loss, and the held-out images' mAP behind it.

    Number 0 is the network before the first, without a loss.
    """

    number: int
    loss: float | None
    mAP: float  # as the field writes it
    seconds: float


@dataclass(slots=True)
class Run:
    """A training under way."""

    network: Network
    optimiser: torch.optim.Optimizer
    history: list[Epoch] = field(default_factory=list)


def save(file: Path, fingerprint: str, run: Run) -> None:
    """Write a checkpoint, whole or not at all. Raises ConfigError."""
    fresh = file.with_name(f"{file.name}.new")
    state = {
        "fingerprint": fingerprint,
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "history": [asdict(epoch) for epoch in run.history],
    }
    try:
        torch.save(state, fresh)
        fresh.replace(file)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"cannot write {file}: {error}") from error


def read(file: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return what a checkpoint holds; None if there is none.

    Raises ConfigError for a broken one and for one of another run.
    """
    try:
        # By `regular`: a named pipe would be waited for, a device would never end.
        with open(file, "rb", opener=regular) as stream:
            state: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # a broken file makes the unpickler raise anything at all
        raise ConfigError(f"{file} is no checkpoint of a training: delete it") from error
    if found != fingerprint:
        raise ConfigError(
            f"{file} is the checkpoint of a training on other images or with other options: "
            "give those, another `out=...`, or delete it to begin anew"
        )
    return state


def load(file: Path, fingerprint: str, run: Run) -> bool:
    """Load a checkpoint into a run; tell whether there was one.

    Raises ConfigError for a broken one and for one of another run.
    """
    state = read(file, fingerprint)
    if state is None:
        return False
    run.network.load_state_dict(state["network"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.history[:] = [Epoch(**epoch) for epoch in state["history"]]
    return True
