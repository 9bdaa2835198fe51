"""How far an ingest is, and what it waits for."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# Takes a line about what is going on, for a person.
Say = Callable[[str], None]
Stage = Literal["decode", "network", "write"]


def silent(line: str) -> None:
    """Say nothing."""


def logged(line: str) -> None:
    """Log a line as a warning; where logging is not set up, Python prints it to stderr."""
    logging.getLogger("spocdb").warning("%s", line)


@dataclass(slots=True)
class Progress:
    """What became of the files so far; the counts grow while the ingest runs.

    `n_new` went through the network, `n_reused` had their descriptor stored already, `n_unchanged`
    were not even read, `n_failed` are listed among the failures. `waited` are the seconds that the
    loop spent on each stage: waiting for a decoded image, in the network, waiting for the writer.
    `writing` are the seconds that the writer itself was busy.
    """

    n_seen: int = 0
    n_new: int = 0
    n_reused: int = 0
    n_unchanged: int = 0
    n_failed: int = 0
    n_pruned: int = 0
    waited: dict[Stage, float] = field(
        default_factory=lambda: {"decode": 0.0, "network": 0.0, "write": 0.0}
    )
    writing: float = 0.0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def n_done(self) -> int:
        """Return the number of files whose fate is known."""
        return self.n_new + self.n_reused + self.n_unchanged + self.n_failed

    @property
    def n_stored(self) -> int:
        """Return the number of images that this run wrote."""
        return self.n_new + self.n_reused

    @property
    def per_second(self) -> float:
        """Return the images written a second."""
        return self.n_stored / max(self.seconds, 1e-9)

    @property
    def limited_by(self) -> Stage:
        """Return the stage that most of the time went to."""
        return max(self.waited, key=lambda stage: self.waited[stage])

    def refuse(self, n: int) -> None:
        """Count as failures `n` images that were counted as written before the database refused."""
        n_new = min(n, self.n_new)
        self.n_new -= n_new
        self.n_reused -= n - n_new
        self.n_failed += n

    def add(self, other: "Progress") -> None:
        """Add the counts of another run."""
        self.n_seen += other.n_seen
        self.n_new += other.n_new
        self.n_reused += other.n_reused
        self.n_unchanged += other.n_unchanged
        self.n_failed += other.n_failed
        self.n_pruned += other.n_pruned

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and seconds for JSON."""
        numbers = asdict(self)
        del numbers["began"]
        return {**numbers, "images_per_second": self.per_second, "limited_by": self.limited_by}
