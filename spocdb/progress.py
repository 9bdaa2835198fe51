"""The progress of an ingest: counts of images, and seconds per stage."""

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
    """The counts of an ingest so far; they grow while it runs.

    `n_new` images went through the network; `n_reused` had a stored descriptor; `n_unchanged` were
    not read; `n_failed` are listed among the failures. `n_moved` of the stored ones had another
    path that is gone. `n_enqueued` images and archives were put into the queue, `n_waiting` were in
    it already. `left_out` counts the files that are no images, by extension or
    kind. `waited` holds the seconds that the loop spent on each stage: waiting for a decoded image,
    in the network, waiting for the writer. `writing` is the seconds that the writer was busy.

    `doing` names the current step while no image is done. `n_decoded` and `n_computed` count images
    in progress, which no other number includes: decoded, and also computed by the network.
    """

    n_seen: int = 0
    n_new: int = 0
    n_reused: int = 0
    n_unchanged: int = 0
    n_failed: int = 0
    n_pruned: int = 0
    n_moved: int = 0
    n_enqueued: int = 0
    n_waiting: int = 0
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
        """Return the number of files that are done."""
        stored = self.n_new + self.n_reused + self.n_unchanged
        return stored + self.n_failed + self.n_enqueued + self.n_waiting

    @property
    def n_shown(self) -> int:
        """Return the number of files for a progress bar: decoded or computed counts as half."""
        return self.n_done + (self.n_decoded + self.n_computed) // 2

    @property
    def n_stored(self) -> int:
        """Return the number of images that this run wrote."""
        return self.n_new + self.n_reused

    @property
    def per_second(self) -> float:
        """Return the images written per second; 0 for a preview, which writes none."""
        return self.n_stored / self.seconds if self.seconds else 0.0

    @property
    def limited_by(self) -> Stage:
        """Return the stage that took most of the time."""
        return max(self.waited, key=lambda stage: self.waited[stage])

    def refuse(self, n: int) -> None:
        """Move `n` images that the database refused from the written ones to the failures."""
        n_new = min(n, self.n_new)
        self.n_new -= n_new
        self.n_reused -= n - n_new
        self.n_failed += n

    def computed(self, n: int) -> None:
        """Count images that the network has computed. Thread-safe."""
        with _counting:
            self.n_computed += n

    def arrived(self, n_decoded: int, n_computed: int) -> None:
        """Remove images that are done from those in progress."""
        self.n_decoded -= n_decoded
        self.computed(-n_computed)

    def add(self, other: "Progress") -> None:
        """Add the counts of another run, and what it waited for."""
        self.n_seen += other.n_seen
        self.n_new += other.n_new
        self.n_reused += other.n_reused
        self.n_unchanged += other.n_unchanged
        self.n_failed += other.n_failed
        self.n_pruned += other.n_pruned
        self.n_moved += other.n_moved
        self.n_enqueued += other.n_enqueued
        self.n_waiting += other.n_waiting
        self.left_out += other.left_out
        self.writing += other.writing
        for stage, seconds in other.waited.items():
            self.waited[stage] += seconds

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and seconds for JSON."""
        numbers = asdict(self)
        for name in ("began", "doing", "n_decoded", "n_computed"):
            del numbers[name]
        # `asdict` does not copy a Counter correctly.
        numbers["left_out"] = dict(self.left_out)
        return {**numbers, "images_per_second": self.per_second, "limited_by": self.limited_by}


@contextmanager
def waiting(progress: Progress, stage: Stage) -> Iterator[None]:
    """Add the time of the block to a stage."""
    began = time.monotonic()
    try:
        yield
    finally:
        progress.waited[stage] += time.monotonic() - began
