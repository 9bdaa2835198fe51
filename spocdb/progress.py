"""How far an ingest is, and what it waits for."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Stage = Literal["decode", "network", "write"]

_counting = threading.Lock()


@dataclass(slots=True)
class Progress:
    """What became of the files so far; the counts grow while the ingest runs.

    `n_new` went through the network, `n_reused` had their descriptor stored already, `n_unchanged`
    were not even read, `n_failed` are listed among the failures. `n_moved` of the stored ones were
    known under a path that is gone. `left_out` are the numbers of files that are no images, by
    kind. `waited` are the seconds that the loop spent on each stage: waiting for a decoded image,
    in the network, waiting for the writer. `writing` are the seconds that the writer itself was
    busy.

    `doing` says what a run is at while no image is done. `n_decoded` and `n_computed` are images on
    their way, which no other number counts yet: decoded, and through the network too.
    """

    n_seen: int = 0
    n_new: int = 0
    n_reused: int = 0
    n_unchanged: int = 0
    n_failed: int = 0
    n_pruned: int = 0
    n_moved: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    waited: dict[Stage, float] = field(
        default_factory=lambda: {"decode": 0.0, "network": 0.0, "write": 0.0}
    )
    writing: float = 0.0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    doing: str = ""
    n_decoded: int = 0
    n_computed: int = 0

    @property
    def n_done(self) -> int:
        """Return the number of files whose fate is known."""
        return self.n_new + self.n_reused + self.n_unchanged + self.n_failed

    @property
    def n_shown(self) -> int:
        """Return the number of files for a person to see grow: half of the way counts as half."""
        return self.n_done + (self.n_decoded + self.n_computed) // 2

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

    def computed(self, n: int) -> None:
        """Take note of images that came through the network; any thread may."""
        with _counting:
            self.n_computed += n

    def arrived(self, n_decoded: int, n_computed: int) -> None:
        """Take note that so many images are no longer on their way."""
        self.n_decoded -= n_decoded
        self.computed(-n_computed)

    def add(self, other: "Progress") -> None:
        """Add the counts of another run."""
        self.n_seen += other.n_seen
        self.n_new += other.n_new
        self.n_reused += other.n_reused
        self.n_unchanged += other.n_unchanged
        self.n_failed += other.n_failed
        self.n_pruned += other.n_pruned
        self.n_moved += other.n_moved
        self.left_out += other.left_out

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and seconds for JSON."""
        numbers = asdict(self)
        for name in ("began", "doing", "n_decoded", "n_computed"):
            del numbers[name]
        # asdict copies a counter wrongly.
        numbers["left_out"] = dict(self.left_out)
        return {**numbers, "images_per_second": self.per_second, "limited_by": self.limited_by}


@contextmanager
def waiting(progress: Progress, stage: Stage) -> Iterator[None]:
    """Count the time until the end of the block to a stage."""
    began = time.monotonic()
    try:
        yield
    finally:
        progress.waited[stage] += time.monotonic() - began
