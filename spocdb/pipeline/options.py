"""How a run is made: apart from the run, as an ingest without new images needs no more of it."""

from collections.abc import Callable
from dataclasses import dataclass

from spocdb.progress import Progress
from spocdb.settings import Limits

OnProgress = Callable[[Progress], None]

# Images with stored descriptors need no network, so more of them share a transaction.
MOST_WORKS = 256
# Contents per query for stored descriptors. Their bytes are in memory meanwhile, so it is small.
CONTENTS_ASKED = 16
# Batches that can be in flight when a run is killed: gathered, in the network, or queued for
# writing.
MOST_BATCHES = 6


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: the limits, and the images per batch (None: the device's default).

    `exif` reads EXIF metadata; `strict` stops at the first bad image; `thumbnails` are made of the
    pictures that are decoded here: not by a GPU, nor in a separate process.
    """

    limits: Limits
    batch_size: int | None = None
    exif: bool = False
    strict: bool = False
    thumbnails: bool = False

    @property
    def most_in_flight(self) -> int:
        """Return how many images can be in flight at once."""
        most_a_batch = max(MOST_WORKS, self.batch_size or 0)
        return 2 * self.limits.ahead + CONTENTS_ASKED + MOST_BATCHES * most_a_batch
