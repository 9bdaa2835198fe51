"""Two halves of photographs, each a folder with changed copies of some of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.copies.changes import Change

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shown:
    """A file, the number of the photograph that it shows, and how it was changed ("": not)."""

    file: Path
    photograph: int
    change: str


@dataclass(frozen=True, slots=True)
class Half:
    """The files of a folder, by name."""

    folder: Path
    files: Sequence[Shown]

    def of_change(self, change: str) -> BoolArray:
        """Return which pairs (n, n) are a photograph and its copy with this change."""
        own = np.array([f.change == change for f in self.files])
        whole = np.array([not f.change for f in self.files])
        pairs: BoolArray = self.same() & whole[:, None] & own
        return pairs

    def copies(self) -> BoolArray:
        """Return which pairs (n, n), each once, are two changed copies of one photograph."""
        changed = np.array([bool(f.change) for f in self.files])
        return np.triu(self.same() & changed[:, None] & changed, 1)

    def unrelated(self) -> BoolArray:
        """Return which pairs (n, n), each once, show different photographs."""
        return np.triu(~self.same(), 1)

    def same(self) -> BoolArray:
        """Return which pairs (n, n) show the same photograph."""
        shown = np.array([f.photograph for f in self.files])
        equal: BoolArray = shown[:, None] == shown
        return equal


def divided(photographs: Sequence[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """Divide photographs into two halves in an order that the seed determines."""
    order = sorted(photographs)
    random.Random(seed).shuffle(order)
    middle = len(order) // 2
    return order[:middle], order[middle:]


def write(
    folder: Path,
    photographs: Sequence[Path],
    n_originals: int,
    changes: Mapping[str, Change],
    seed: int,
) -> Half:
    """Write photographs to a new folder, with changed copies of the first `n_originals`."""
    folder.mkdir(parents=True)
    files = []
    for number, photograph in enumerate(photographs):
        # Named so that copies come after their original.
        files.append(Shown(folder / f"{number:06}-00{photograph.suffix}", number, ""))
        files[-1].file.write_bytes(photograph.read_bytes())
        if number < n_originals:
            with Image.open(photograph) as opened:
                image = opened.convert("RGB")
            for place, (name, change) in enumerate(changes.items(), 1):
                rng = random.Random(f"{seed}/{photograph.name}/{name}")
                files.append(Shown(folder / f"{number:06}-{place:02}.jpg", number, name))
                files[-1].file.write_bytes(change(image, rng))
    return Half(folder, files)
