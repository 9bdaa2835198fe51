"""Sample pictures of a folder, which codebooks and networks in integers are made by."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spocdb.errors import ImageError
from spocdb.images.decode import decode
from spocdb.images.regular import read_bytes
from spocdb.records import Recipe, UInt8Array
from spocdb.wording import counted

log = logging.getLogger(__name__)


class Samples:
    """The pictures of files; those that cannot be read are left out and told."""

    def __init__(self, files: Sequence[Path], max_pixels: int) -> None:
        self._files, self._max_pixels = files, max_pixels
        self.read: set[Path] = set()
        self._unreadable: dict[Path, str] = {}

    def pixels(self, recipe: Recipe) -> Iterator[UInt8Array]:
        """Yield the pictures (H, W, 3) that can be read, fitted as a recipe has it."""
        for file in self._files:
            try:
                data = read_bytes(file)
                yield decode(data, recipe.size, recipe.fit, self._max_pixels, recipe.canvas).pixels
            except ImageError as error:
                self._unreadable[file] = str(error)
            except OSError as error:
                self._unreadable[file] = f"cannot read the file: {error.strerror or error}"
            else:
                self.read.add(file)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Log, after the block, how many files could not be read, and the first reason.

        Also if the block fails: unreadable files may be the cause.
        """
        try:
            yield
        finally:
            if self._unreadable:
                file, reason = next(iter(self._unreadable.items()))
                n_files = counted(len(self._unreadable), "unreadable file")
                log.warning("left out: %s, such as %s: %s", n_files, file, reason)


def spread(files: Sequence[Path], most: int) -> list[Path]:
    """Return at most `most` of the files, evenly spread, in the order of their names."""
    return sorted(files)[:: max(1, -(-len(files) // most))]
