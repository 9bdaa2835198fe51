"""A schedule: how many epochs, how fast to learn, when to end, which weights to keep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spocdb.errors import InvalidValue
from spocdb.features.devices import find_devices
from spocdb.features.precision import Precision, check_precision
from spocdb.training.checkpoints import Epoch

# Most steps of the learning rate's warm-up.
WARM_UP = 100
LARGEST_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Schedule:
    """A training's options.

    `learning_rate` is the maximum, reached after the warm-up; then it falls to zero along half a
    cosine. `weight_decay` is AdamW's (Loshchilov & Hutter 2019).

    After `patience` epochs without a better mAP of the held-out images the training ends, and the
    weights of the best epoch are kept. None: all epochs are run, and the last one's are kept.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.02
    patience: int | None = None
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
        if self.patience is not None and self.patience < 1:
            raise InvalidValue("patience", self.patience, "1 or more")
        if not 0 <= self.seed < LARGEST_SEED:
            raise InvalidValue("seed", self.seed, f"0 to {LARGEST_SEED - 1}")
        check_precision(self.precision)
        find_devices(self.device)

    def kept(self, history: Sequence[Epoch]) -> Epoch:
        """Return the epoch whose weights are kept; number 0 stands for those before training."""
        return history[-1] if self.patience is None else best(history)

    def is_over(self, history: Sequence[Epoch]) -> bool:
        """Return whether no further epoch is to be run."""
        last = history[-1].number
        is_late = self.patience is not None and last - best(history).number >= self.patience
        return is_late or last >= self.epochs


def best(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the highest mAP, of equal ones the first."""
    return max(history, key=lambda epoch: epoch.mAP)


def rate(step: int, n_steps: int) -> float:
    """Return the learning rate's factor, 0 to 1: linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / min(WARM_UP, max(1, n_steps // 4)))
    return warm * (1 + math.cos(math.pi * step / n_steps)) / 2
